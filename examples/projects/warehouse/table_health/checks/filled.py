"""Is there anything in it?"""

from sqlite3 import Connection
from typing import Optional


def filled(connection: Connection, table: str, min_rows: int) -> Optional[str]:
    """Finds a table that has too few rows."""
    (rows,) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    return f"{table}: {rows} rows, expected {min_rows} or more" if rows < min_rows else None
