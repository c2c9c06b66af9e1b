from enum import Enum

from prefect import flow


class Valuta(str, Enum):
    EURO = "EUR"
    KRONE = "NOK"
    DOLLAR = "USD"


@flow
def hent_valutakurser(valutaer: list[Valuta] = [Valuta.EURO, Valuta.DOLLAR], dager_tilbake: int = 1, tørrkjøring: bool = False):
    """Henter kurser fra Norges Bank.

    Args:
        valutaer: Valutaene som hentes.
        dager_tilbake: Antall dager før i dag.
    """
    return len(valutaer) * dager_tilbake


@flow(name="Valutakurser: etterslep")
def etterslep(fra_år: int, til_år: int):
    return til_år - fra_år
