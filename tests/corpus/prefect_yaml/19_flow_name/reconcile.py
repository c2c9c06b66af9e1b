from prefect import flow

PREFIX = "avstemming"
NAME = f"{PREFIX}-daglig"


@flow(name="Månedlig avstemming")
def reconcile(month: str = "2024-01"):
    """Avstemmer måneden."""


@flow
def reconcile_week():
    """Avstemmer uken."""


@flow(name=NAME)
def reconcile_day():
    """Avstemmer dagen."""
