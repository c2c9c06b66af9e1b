from prefect import flow


@flow
def ads_google(day: str | None = None, dry_run: bool = False):
    """The daily run of ads_google."""
