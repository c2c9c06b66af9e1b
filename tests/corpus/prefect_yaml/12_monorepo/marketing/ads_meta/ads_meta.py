from prefect import flow


@flow
def ads_meta(day: str | None = None, dry_run: bool = False):
    """The daily run of ads_meta."""
