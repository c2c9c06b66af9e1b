from prefect import flow


@flow
def exchange_rates(day: str | None = None, dry_run: bool = False):
    """The daily run of exchange_rates."""
