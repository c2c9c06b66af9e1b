"""Reports who subscribes."""

from datetime import date, timedelta
from enum import Enum

from prefect import flow, get_run_logger, task


class Segment(Enum):
    """Who a report is about."""

    ALL = "all"
    DIGITAL = "digital"
    PAPER = "paper"


SUBSCRIBERS = [
    ("Oslo", Segment.DIGITAL, 41_200),
    ("Oslo", Segment.PAPER, 9_800),
    ("Nordland", Segment.DIGITAL, 5_100),
    ("Nordland", Segment.PAPER, 3_900),
    ("Østfold", Segment.DIGITAL, 7_300),
]


@task
def count(segment: Segment) -> dict[str, int]:
    """Adds up the subscribers of a segment by county."""
    totals: dict[str, int] = {}
    for county, kind, subscribers in SUBSCRIBERS:
        if segment in (Segment.ALL, kind):
            totals[county] = totals.get(county, 0) + subscribers
    return totals


@flow(name="Subscriber report")
def subscriber_report(segment: Segment = Segment.ALL, recipients: list[str] = []) -> int:
    """Counts subscribers by county.

    Args:
        segment: Whom to count.
        recipients: Who gets the report.
    """
    logger = get_run_logger()
    totals = count(segment)
    for county, subscribers in totals.items():
        logger.info("%-10s %7d", county, subscribers)
    logger.info("sent to %d recipients", len(recipients))
    return sum(totals.values())


@flow
def subscriber_backfill(start: date, days: int = 3, segment: Segment = Segment.ALL) -> int:
    """Reports a number of days again.

    Args:
        start: The first day.
        days: How many days.
        segment: Whom to count.
    """
    total = 0
    for day in (start + timedelta(days=offset) for offset in range(days)):
        get_run_logger().info("backfill of %s", day)
        total += subscriber_report(segment)
    return total


if __name__ == "__main__":
    subscriber_report()
