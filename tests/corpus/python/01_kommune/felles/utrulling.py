"""What every deployment of the municipality has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REGISTER = "registry.example.no"
ROT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Miljø:
    navn: str
    pool: str = "aks"
    merker: tuple[str, ...] = ()
    ekstra: dict[str, Any] = field(default_factory=dict)

    @property
    def er_produksjon(self) -> bool:
        return self.navn == "prod"


MILJØER = [
    Miljø("test", merker=("test", "kan slettes")),
    Miljø("prod", pool="aks-tunge-jobber", merker=("prod",), ekstra={"memory_limit": "8Gi"}),
]


def prosjekt(fil: str) -> str:
    """The path of a file's folder from the root, as it is written in tags."""
    return Path(fil).resolve().parent.relative_to(ROT).as_posix()


def jobbvariabler(miljø: Miljø, **overstyr: Any) -> dict[str, Any]:
    variabler = {"namespace": f"prefect-{miljø.navn}", "env": {"MILJØ": miljø.navn}, **miljø.ekstra}
    variabler.update({navn: verdi for navn, verdi in overstyr.items() if verdi is not None})
    return variabler
