from prefect import flow


@flow
def newsletter(day: str | None = None, dry_run: bool = False):
    """The daily run of newsletter."""
