from prefect.deployments.runner import RunnerDeployment
from prefect.client.schemas.schedules import CronSchedule, RRuleSchedule
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.runner.storage import LocalStorage

import os

AQUI = os.path.dirname(os.path.abspath(__file__))

deployment = RunnerDeployment.from_storage(
    storage=LocalStorage(path=AQUI),
    entrypoint="fluxos.py:materializa_gps",
    name="Materialização horária",
    schedules=[
        DeploymentScheduleCreate(schedule=CronSchedule(cron="20 * * * *", timezone="America/Sao_Paulo"), active=True),
        DeploymentScheduleCreate(
            schedule=RRuleSchedule(rrule="DTSTART:20230101T030000\nFREQ=MONTHLY;BYMONTHDAY=1,-1", timezone="America/Sao_Paulo"),
            active=False,
            parameters={"exclude": "+gps_sppo_v2"},
            max_scheduled_runs=5,
        ),
    ],
    parameters={"upstream": True},
    tags=["smtr"],
    enforce_parameter_schema=False,
    work_pool_name="prefeitura",
    work_queue_name="materializações",
    concurrency_limit=1,
)

if __name__ == "__main__":
    id = deployment.apply()
    print(f"Pronto: {id}")
