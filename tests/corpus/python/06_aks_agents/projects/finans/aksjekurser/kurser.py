from datetime import date
from typing import Dict, Optional

from prefect import flow


@flow(name="Aksjekurser (Oslo Børs)", version="2.1")
def aksjekurser(tickere: Dict[str, str], fra: Optional[date] = None, desimaler: int = 4):
    pass
