"""Checks the tables of the warehouse."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from prefect import flow, get_run_logger, task

from checks import CHECKS


@task
def prepare(folder: str) -> Path:
    """Fills a database with two tables; it stands in for the warehouse."""
    database = Path(folder) / "warehouse.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE articles (id INTEGER PRIMARY KEY, title TEXT, loaded TEXT)")
        connection.executemany(
            "INSERT INTO articles (title, loaded) VALUES (?, ?)",
            [("Renten holdes i ro", "2026-11-18"), ("Strømprisen faller", "2026-11-18")],
        )
        connection.execute("CREATE TABLE subscribers (id INTEGER PRIMARY KEY, county TEXT, loaded TEXT)")
        connection.execute("INSERT INTO subscribers (county, loaded) VALUES ('Nordland', '2026-11-17')")
    return database


@task(task_run_name="check {table}")
def check(database: Path, table: str, min_rows: int) -> list[str]:
    """Runs every check on a table and gives what is wrong with it."""
    with closing(sqlite3.connect(database)) as connection:
        return [fault for run in CHECKS if (fault := run(connection, table, min_rows))]


@flow(log_prints=True)
def table_health(tables: list[str] = ["articles", "subscribers"], min_rows: int = 1, strict: bool = True) -> int:
    """Checks that tables are there, filled and fresh.

    Args:
        tables: The tables to check.
        min_rows: The fewest rows that a healthy table has.
        strict: Fail the run if there is a fault.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = prepare(folder)
        faults = [fault for table in tables for fault in check(database, table, min_rows)]
    for fault in faults:
        print(fault)
    get_run_logger().info("%d tables, %d faults", len(tables), len(faults))
    if faults and strict:
        raise RuntimeError(f"{len(faults)} faults")
    return len(faults)


if __name__ == "__main__":
    table_health()
