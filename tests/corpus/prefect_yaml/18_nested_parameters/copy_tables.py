from datetime import date, datetime
from typing import Any, Dict, List, Optional

from prefect import flow
from pydantic import BaseModel


class Database(BaseModel):
    host: str
    port: int = 5432
    options: Dict[str, Any] = {}


class Table(BaseModel):
    name: str
    columns: List[str] = []
    where: Optional[str] = None


@flow
def copy_tables(
    source: Database,
    target: Database,
    tables: List[Table],
    day: Optional[date] = None,
    at: Optional[datetime] = None,
    ratio: float = 1.0,
    big: int = 0,
    flags: Optional[List[Any]] = None,
    labels: Optional[Dict[str, Any]] = None,
):
    pass
