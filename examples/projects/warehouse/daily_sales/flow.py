"""Sums the sales of a day by region."""

import csv
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Optional

from prefect import flow, get_run_logger, task

SALES = Path(__file__).resolve().parent / "data" / "sales.csv"


@task
def read_sales(path: Path) -> list[dict[str, str]]:
    """Reads all sales."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@task
def sum_by_region(rows: list[dict[str, str]], day: Optional[date]) -> dict[str, Decimal]:
    """Adds up the amounts of one day, or of all days."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if day is None or date.fromisoformat(row["date"]) == day:
            totals[row["region"]] += Decimal(row["amount"])
    return dict(totals)


@flow(log_prints=True)
def daily_sales(
    day: Optional[date] = None,
    dataset: str = "scratch",
    currency: str = "NOK",
    dry_run: bool = True,
) -> int:
    """Sums sales by region.

    Args:
        day: The day to sum; all days if not given.
        dataset: Where the sums go.
        currency: The currency of the amounts.
        dry_run: Only show the sums.
    """
    totals = sum_by_region(read_sales(SALES), day)
    for region, total in sorted(totals.items()):
        print(f"{region:12} {total:>12} {currency}")
    verb = "would write" if dry_run else "wrote"
    get_run_logger().info("%s %d regions to %s.daily_sales", verb, len(totals), dataset)
    return len(totals)


if __name__ == "__main__":
    daily_sales()
