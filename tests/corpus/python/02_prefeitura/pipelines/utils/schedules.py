from datetime import datetime, timedelta
from typing import Dict, List, Optional

import pytz
from prefect.client.schemas.schedules import IntervalSchedule

from pipelines.constants import constants


def query_to_line(query: str) -> str:
    """Põe uma consulta em uma linha só."""
    return " ".join([line.strip() for line in query.split("\n") if line.strip()])


def generate_dump_schedules(
    interval: timedelta,
    start_date: datetime,
    tables: Dict[str, Dict[str, str]],
    runs_interval_minutes: Optional[int] = None,
) -> List[dict]:
    """Um horário para cada tabela, cada um alguns minutos depois do outro."""
    minutes = runs_interval_minutes or constants.INTERVALO_MINUTOS.value
    found = []
    for count, (table_id, parameters) in enumerate(tables.items()):
        found.append(
            {
                "table": table_id,
                "query": query_to_line(parameters["query"]),
                "schedule": IntervalSchedule(
                    interval=timedelta(days=int(parameters.get("dias", "1"))) if "dias" in parameters else interval,
                    anchor_date=start_date + timedelta(minutes=minutes * count),
                    timezone=constants.TIMEZONE.value,
                ),
            }
        )
    return found


def start(hour: int, minute: int = 0) -> datetime:
    return datetime(2023, 5, 2, hour, minute, tzinfo=pytz.UTC)
