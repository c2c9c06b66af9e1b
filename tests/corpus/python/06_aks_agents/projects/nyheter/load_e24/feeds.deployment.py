from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure import KubernetesJob

from e24 import load_e24

FEEDS = {
    "børs og finans": ("*/30 7-17 * * 1-5", "aks"),
    "makro": ("0 */4 * * *", "aks"),
    "alt": ("15 3 * * 0", "aks-stor"),
}
storage = Azure.load("flows")

for feed, (cron, infra) in FEEDS.items():
    d = Deployment.build_from_flow(
        flow=load_e24,
        name=f"e24 {feed}",
        parameters={"feed": feed, "max_age_days": 30 if feed == "alt" else 2},
        schedule=CronSchedule(cron=cron, timezone="Europe/Oslo", day_or=feed != "alt"),
        storage=storage,
        infrastructure=KubernetesJob.load(infra),
        work_queue_name="tunge-jobber" if infra.endswith("stor") else "kubernetes",
        tags=["e24"] + (["ukentlig"] if feed == "alt" else []),
        skip_upload=False,
    )
    d.apply(upload=False)
