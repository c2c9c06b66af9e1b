from datetime import date

from prefect import flow


@flow(name="archive articles", description="Moves what is older than ten years.")
def archive(before: date = date(2015, 1, 1)):
    ...
