"""Was it loaded at all?"""

from sqlite3 import Connection
from typing import Optional


def fresh(connection: Connection, table: str, min_rows: int) -> Optional[str]:
    """Finds a table with rows that carry no date of loading."""
    (rows,) = connection.execute(f'SELECT count(*) FROM "{table}" WHERE loaded IS NULL').fetchone()
    return f"{table}: {rows} rows without a date" if rows else None
