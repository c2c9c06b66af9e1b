from dataclasses import dataclass
from typing import Literal

from prefect import flow


@dataclass
class Place:
    lat: float
    lon: float
    name: str = "Oslo"


@flow(name="hent varsel")
def hent_varsel(
    place: Place = Place(59.91, 10.75),
    detail: Literal["compact", "complete"] = "compact",
):
    """Henter varselet fra yr."""
