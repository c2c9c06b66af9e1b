import prefect


@prefect.flow(name="nightly-load", version="7")
def nightly_load(day="yesterday", tables=("a", "b")):
    # Loads what came in over night.
    ...
