from prefect import flow


@flow
def invoices(day: str | None = None, dry_run: bool = False):
    """The daily run of invoices."""
