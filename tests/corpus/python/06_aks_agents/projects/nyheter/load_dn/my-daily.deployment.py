import os

from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure.kubernetes import KubernetesJob
from prefect.server.schemas.schedules import CronSchedule

from flow import dn_flow

azure_block = Azure.load("flows")
kubernetes_job_block = KubernetesJob.load("aks")

# The path in the container is the path in the repository.
storage_path = os.getcwd().split("projects")[-1].lstrip("/")

deployment = Deployment.build_from_flow(
    flow=dn_flow,
    name="my-daily",
    parameters={"antall": 100},
    infrastructure=kubernetes_job_block,
    infra_overrides={"image": "radbrt.azurecr.io/orion:latest", "env": {"EXTRA_PIP_PACKAGES": "feedparser"}},
    work_queue_name="kubernetes",
    storage=azure_block,
    path=storage_path,
    schedule=CronSchedule(cron="0 6 * * *", timezone="Europe/Oslo"),
    tags=["nyheter"],
    version="1",
)

if __name__ == "__main__":
    deployment.apply()
