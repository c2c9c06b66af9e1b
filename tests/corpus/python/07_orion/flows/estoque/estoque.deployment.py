from datetime import datetime, timedelta, timezone

from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure.container import DockerContainer
from prefect.server.schemas.schedules import IntervalSchedule, RRuleSchedule

from contagem import contagem_de_estoque, inventario

comum = {
    "storage": Azure.load("codigo"),
    "infrastructure": DockerContainer.load("local-docker"),
    "work_queue_name": "estoque",
}

a = Deployment.build_from_flow(
    flow=contagem_de_estoque,
    name="a cada 90 minutos",
    schedule=IntervalSchedule(interval=timedelta(minutes=90), anchor_date=datetime(2022, 9, 1, tzinfo=timezone.utc), timezone="America/Recife"),
    **comum,
)
b = Deployment.build_from_flow(
    flow=inventario,
    name="anual",
    schedule=RRuleSchedule(rrule="DTSTART:20221231T030000\nFREQ=YEARLY", timezone="America/Recife"),
    **comum,
    tags=["anual", "inventário"],
)

if __name__ == "__main__":
    for deployment in (a, b):
        deployment.apply()
