from datetime import timedelta

from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure.process import Process
from prefect.client.schemas.schedules import IntervalSchedule

from rydd import rydd

deployment = Deployment.build_from_flow(flow=rydd, name="natt", storage=Azure.load("flows"), infrastructure=Process.load("lokal"), schedule=IntervalSchedule(interval=timedelta(days=1)))
deployment.tags = ["drift"]
deployment.parameters["dager"] = 7
deployment.work_queue_name = "drift"
deployment.apply()
