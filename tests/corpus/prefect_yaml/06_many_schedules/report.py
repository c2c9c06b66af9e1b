from prefect import flow


@flow(name="Build report")
def build_report(region: str, recipients: list[str] | None = None, detail: bool = False):
    """Builds the sales report and sends it.

    Args:
        region: which sales to count
        recipients: who gets it by mail
        detail: with one page per country
    """
