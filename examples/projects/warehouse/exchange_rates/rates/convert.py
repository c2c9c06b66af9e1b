"""Arithmetic with rates."""

from .sources.norges_bank import Rates


def cross_rate(rates: Rates, currency: str, base: str) -> float:
    """Gives the price of one unit of a currency in another.

    Raises:
        KeyError: One of the two has no rate.
    """
    return rates.in_nok(currency) / rates.in_nok(base)
