"""Loads the front page of Dagens Næringsliv."""

from pathlib import Path
from typing import Optional

from prefect import flow, get_run_logger, task

from lib.rss import Item, parse

FEED = Path(__file__).resolve().with_name("feed.xml")


@task
def fetch() -> list[Item]:
    """Reads the feed; a saved copy stands in for the real one."""
    return parse(FEED.read_text(encoding="utf-8"))


@task
def select(items: list[Item], categories: Optional[list[str]], limit: int) -> list[Item]:
    """Keeps the newest articles of the categories."""
    wanted = [item for item in items if categories is None or item.category in categories]
    return wanted[:limit]


@flow(name="Load DN")
def load_dn(limit: int = 25, categories: Optional[list[str]] = None) -> int:
    """Loads articles from dn.no.

    Args:
        limit: How many articles at the most, newest first.
        categories: Only these categories; all of them if not given.

    Returns:
        How many articles were loaded.
    """
    logger = get_run_logger()
    articles = select(fetch(), categories, limit)
    for article in articles:
        logger.info("%s  %s", article.published.isoformat(), article.title)
    if not articles:
        raise ValueError(f"no article in {categories}")
    return len(articles)


if __name__ == "__main__":
    load_dn()
