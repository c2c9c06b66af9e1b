from prefect import flow


@flow
def backup(day: str | None = None, dry_run: bool = False):
    """The daily run of backup."""
