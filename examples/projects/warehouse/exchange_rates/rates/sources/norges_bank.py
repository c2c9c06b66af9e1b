"""The rates of Norges Bank: kroner for a number of units."""

import json
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data" / "rates.json"


@dataclass(frozen=True)
class Rates:
    """The rates of one day."""

    day: str
    by_currency: dict[str, tuple[int, float]]

    def in_nok(self, currency: str) -> float:
        """Gives the price of one unit in kroner."""
        if currency == "NOK":
            return 1.0
        units, kroner = self.by_currency[currency]
        return kroner / units


def read_rates(path: Path = DATA) -> Rates:
    """Reads a day's rates."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Rates(
        day=content["day"],
        by_currency={entry["currency"]: (entry["units"], entry["kroner"]) for entry in content["rates"]},
    )
