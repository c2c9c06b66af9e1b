import datetime
from pathlib import Path

import pendulum
from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure.kubernetes import KubernetesJob
from prefect.server.schemas.schedules import IntervalSchedule

from flow import dn_flow

parts = Path(__file__).resolve().parent.parts

if __name__ == "__main__":
    Deployment.build_from_flow(
        dn_flow,
        "my hourly",
        parameters=dict(kategorier=["børs", "næring"], antall=5),
        infrastructure=KubernetesJob.load("aks"),
        infra_overrides={"env.LOG_LEVEL": "DEBUG", "namespace": "orion"},
        work_queue_name="kubernetes",
        storage=Azure.load("flows"),
        path="/".join(parts[parts.index("projects"):]),
        schedule=IntervalSchedule(
            interval=datetime.timedelta(hours=1),
            anchor_date=pendulum.datetime(2023, 1, 1, 0, 15, tz="Europe/Oslo"),
        ),
        is_schedule_active=False,
        description=f"Hver time fra {dn_flow.name}",
        apply=True,
    )
