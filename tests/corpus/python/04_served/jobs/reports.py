from prefect import flow, task


@task
def render(kind: str) -> str:
    return kind


@flow(name="weekly report")
def weekly(kind: str = "sales", recipients: list[str] | None = None, dry_run: bool = False):
    """Sends the report of a week.

    Args:
        kind: sales, stock, or returns.
        recipients: addresses; the team's where there are none.
    """
    return render(kind)


@flow(description="Closes the books.")
async def month_end(year: int, month: int, currency: str = "NOK"):
    return year, month, currency
