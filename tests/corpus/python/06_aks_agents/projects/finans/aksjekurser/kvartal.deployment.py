from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure.kubernetes import KubernetesJob
from prefect.server.schemas.schedules import RRuleSchedule

from kurser import aksjekurser

TICKERE = {"EQNR": "Equinor", "ORK": "Orkla", "MOWI": "Mowi"}


def rrule(maaned: int) -> str:
    return f"DTSTART:2023{maaned:02}01T070000\nRRULE:FREQ=YEARLY;BYMONTH={maaned};BYMONTHDAY=1"


for kvartal, maaned in enumerate(range(1, 13, 3), start=1):
    Deployment.build_from_flow(
        flow=aksjekurser,
        name=f"Q{kvartal}",
        parameters={"tickere": {k: v.upper() for k, v in TICKERE.items()}, "fra": f"2023-{maaned:02d}-01"},
        infrastructure=KubernetesJob.load("aks-stor"),
        work_queue_name="kubernetes",
        storage=Azure.load("flows"),
        schedule=RRuleSchedule(rrule=rrule(maaned), timezone="Europe/Oslo"),
        infra_overrides=dict(finished_job_ttl=300, customizations=[{"op": "add", "path": "/spec/template/spec/nodeSelector", "value": {"pool": "stor"}}]),
    ).apply()
