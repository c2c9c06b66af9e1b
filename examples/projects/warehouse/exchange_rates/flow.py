"""Converts amounts with the rates of Norges Bank."""

from prefect import flow, get_run_logger, task

from rates.convert import cross_rate
from rates.sources.norges_bank import Rates, read_rates


@task
def fetch() -> Rates:
    """Reads the rates; a saved copy stands in for the real ones."""
    return read_rates()


@flow(name="Exchange rates")
def exchange_rates(base: str = "NOK", currencies: list[str] = ["EUR", "USD"], precision: int = 4) -> dict[str, float]:
    """Gives the price of currencies.

    Args:
        base: The currency to pay with.
        currencies: The currencies to price.
        precision: Digits after the decimal point.
    """
    logger = get_run_logger()
    rates = fetch()
    prices = {currency: round(cross_rate(rates, currency, base), precision) for currency in currencies}
    for currency, price in prices.items():
        logger.info("1 %s = %s %s (%s)", currency, price, base, rates.day)
    return prices


if __name__ == "__main__":
    exchange_rates()
