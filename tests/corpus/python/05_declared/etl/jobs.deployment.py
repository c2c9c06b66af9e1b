import json
import os

from prefect.client.schemas.schedules import construct_schedule
from prefect.deployments.runner import RunnerDeployment
from prefect.deployments.schedules import create_deployment_schedule_create
from load import load_table

HERE = os.path.dirname(__file__)

with open(os.path.join(HERE, "jobs.json"), encoding="utf8") as f:
    JOBS = json.load(f)

for job in JOBS:
    timing = {k: job[k] for k in ("cron", "interval") if k in job}
    deployment = RunnerDeployment.from_flow(
        load_table,
        name=job["name"],
        schedules=[
            create_deployment_schedule_create(
                construct_schedule(**timing, timezone="Europe/Copenhagen", anchor_date="2024-02-29T12:00:00+01:00" if "interval" in timing else None),
                job["priority"] is not None,
            )
        ],
        parameters=job["parameters"],
        tags=[t for t in ("json", job["priority"]) if t],
        work_pool_name="k8s-dev",
        work_queue_name=job["priority"] or "default",
        job_variables={"image": "registry.example.dk/etl:1"},
    )
    deployment.apply()
