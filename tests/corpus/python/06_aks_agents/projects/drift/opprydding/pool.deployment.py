from prefect.deployments import Deployment
from prefect.filesystems import Azure

from rydd import rydd

if __name__ == "__main__":
    Deployment.build_from_flow(
        flow=rydd,
        name="i work pool",
        work_pool_name="aks-pool",
        work_queue_name="lav prioritet",
        job_variables={"image": "prefecthq/prefect:2-latest", "cpu": "250m"},
        storage=Azure.load("flows"),
        enforce_parameter_schema=True,
        schedules=[],
    ).apply()
