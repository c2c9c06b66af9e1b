from datetime import date
from typing import Literal, Optional

from prefect import flow, get_run_logger, task


@task(retries=3, retry_delay_seconds=30)
def hent(kilde: str, fra: Optional[date]) -> list[dict]:
    get_run_logger().info("henter %s fra %s", kilde, fra)
    return [{"kilde": kilde, "tittel": "Ny bru over Glomma"}]


@task
def lagre(artikler: list[dict], tabell: str) -> int:
    return len(artikler)


@flow(name="Hent artikler", description="Henter artikler fra lokalavisene, og lagrer dem i varehuset.", log_prints=True)
def hent_artikler(
    kilde: str,
    tabell: str = "raa.artikler",
    fra: Optional[date] = None,
    modus: Literal["full", "inkrementell"] = "inkrementell",
    maks_antall: int = 500,
):
    """Henter artikler.

    Args:
        kilde: Avisens kortnavn.
        tabell: Tabellen som artiklene lagres i.
        fra: Den første dagen som hentes; alt som er nytt når den mangler.
    """
    antall = lagre(hent(kilde, fra), tabell)
    print(f"{antall} artikler fra {kilde}")
    return antall


if __name__ == "__main__":
    hent_artikler("dn")
