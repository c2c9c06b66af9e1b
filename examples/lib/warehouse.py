"""A small warehouse: one SQLite file."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from lib.rss import Item


def load_items(database: Path, source: str, items: Iterable[Item]) -> int:
    """Writes articles into the table `articles`; an article that is there already is replaced.

    Args:
        database: The SQLite file; it is made where there is none.
        source: The newspaper that the articles are from.
        items: The articles.

    Returns:
        How many rows the source has now.
    """
    rows: Sequence[tuple[str, str, str, str, str]] = [
        (source, item.guid, item.title, item.category, item.published.isoformat()) for item in items
    ]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS articles"
            " (source TEXT, guid TEXT, title TEXT, category TEXT, published TEXT, PRIMARY KEY (source, guid))"
        )
        connection.executemany("INSERT OR REPLACE INTO articles VALUES (?, ?, ?, ?, ?)", rows)
        (count,) = connection.execute("SELECT count(*) FROM articles WHERE source = ?", (source,)).fetchone()
    return count
