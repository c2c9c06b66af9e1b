"""Counts the words of the headlines."""

import csv
import re
from collections import Counter
from pathlib import Path

from prefect import flow, get_run_logger, task

HEADLINES = Path(__file__).resolve().parent / "data" / "overskrifter på norsk.csv"


@task
def read_headlines(path: Path) -> list[str]:
    """Reads the column `overskrift`."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row["overskrift"] for row in csv.DictReader(file, delimiter=";")]


@task
def count_words(headlines: list[str], min_length: int) -> Counter:
    """Counts words of at least a length, regardless of case."""
    words = (word.lower() for headline in headlines for word in re.findall(r"\w+", headline))
    return Counter(word for word in words if len(word) >= min_length)


@flow(name="headline-digest", log_prints=True)
def headline_digest(top: int = 5, min_length: int = 4, stop_words: list[str] = ["etter"]) -> dict[str, int]:
    """Finds what the headlines are about.

    Args:
        top: How many words the digest has.
        min_length: The shortest word that counts.
        stop_words: Words that say nothing.
    """
    counts = count_words(read_headlines(HEADLINES), min_length)
    for word in stop_words:
        counts.pop(word, None)
    digest = dict(counts.most_common(top))
    for word, count in digest.items():
        print(f"{count:3} {word}")
    get_run_logger().info("%d words in all", counts.total())
    return digest


if __name__ == "__main__":
    headline_digest()
