from prefect import flow


@flow
def cleanup(day: str | None = None, dry_run: bool = False):
    """The daily run of cleanup."""
