import datetime
from typing import Any, Dict, Optional

from prefect import flow


@flow(name="etl-load")
def load_table(table: str, full: bool = False, since: Optional[datetime.date] = None, note: str = "", options: Dict[str, Any] = {}):
    """Loads one table."""
