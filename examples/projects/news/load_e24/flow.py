"""Loads E24's feed into the warehouse."""

import tempfile
from pathlib import Path
from typing import Literal

from prefect import flow, get_run_logger, task

from lib.rss import Item, parse
from lib.warehouse import load_items

FEED = """<?xml version="1.0"?>
<rss version="2.0"><channel><title>E24</title>
<item><title>Norges Bank holder renten i ro</title><link>https://www.example.no/e24/a</link>
  <category>Makro</category><pubDate>Thu, 19 Nov 2026 10:00:00 +0100</pubDate></item>
<item><title>Strømprisen faller i sør</title><link>https://www.example.no/e24/b</link>
  <category>Energi</category><pubDate>Thu, 19 Nov 2026 08:15:00 +0100</pubDate></item>
<item><title>Flere søker jobb i helsevesenet</title><link>https://www.example.no/e24/c</link>
  <category>Arbeidsliv</category><pubDate>Wed, 18 Nov 2026 21:40:00 +0100</pubDate></item>
</channel></rss>
"""


@task(retries=2, retry_delay_seconds=1)
def fetch() -> list[Item]:
    """Reads the feed; a saved copy stands in for the real one."""
    return parse(FEED)


@task
def store(items: list[Item], folder: str) -> int:
    """Writes the articles and counts what is there."""
    return load_items(Path(folder) / "warehouse.sqlite", "e24", items)


@flow
def load_e24(edition: Literal["morning", "evening", "weekend"] = "morning", limit: int = 10) -> int:
    """Loads articles from e24.no.

    Args:
        edition: The edition that the articles are filed under.
        limit: How many articles at the most.
    """
    with tempfile.TemporaryDirectory() as folder:
        count = store(fetch()[:limit], folder)
    get_run_logger().info("%s edition: %d articles", edition, count)
    if count == 0:
        raise ValueError("the feed is empty")
    return count


if __name__ == "__main__":
    load_e24()
