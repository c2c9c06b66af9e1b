from prefect import flow


@flow
def load_e24(feed: str, max_age_days: int = 2, dry: bool = False):
    """Loads E24."""
