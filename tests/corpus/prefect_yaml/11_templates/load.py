from typing import Any

from prefect import flow


@flow(name="load-tables")
def load_tables(region: Any = None, target: str = "dev_tables", password: Any = None):
    pass
