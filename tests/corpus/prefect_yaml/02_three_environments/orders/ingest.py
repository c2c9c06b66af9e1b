from typing import Optional

from prefect import flow, task

from orders.shop import fetch


@task
def load(rows, schema):
    return len(list(rows))


@flow
def ingest_orders(schema: str, limit: Optional[int] = None):
    return load(fetch(limit), schema)
