from prefect import flow, get_run_logger, task


@task(name="Hent RSS", retries=2)
def fetch(url: str) -> list:
    return [url]


@flow(name="DN", description="Laster artikler fra Dagens Næringsliv")
def dn_flow(url: str = "https://services.dn.no/rss", antall: int = 20, kategorier: list = ["nyheter"]):
    """
    Laster artikler.

    Args:
        url: strømmen
        antall: så mange
    """
    get_run_logger().info(fetch(url))
