from pathlib import Path

from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import RRule

HER = Path(__file__).parent

kjøring = RunnerDeployment.from_entrypoint(
    entrypoint="fravær.py:samle_fravær",
    name=Path(__file__).name.removesuffix(".deployment.py"),
    schedule=RRule("DTSTART:20240108T060000\nRRULE:FREQ=WEEKLY;BYDAY=MO", timezone="Europe/Oslo"),
    parameters={"enhet": HER.name.title()},
    tags=["lønn", HER.parent.name],
    work_pool_name="aks",
    job_variables={"image": "registry.example.no/okonomi/fravaer:7", "image_pull_policy": "IfNotPresent"},
    enforce_parameter_schema=False,
)

if __name__ == "__main__":
    kjøring.apply()
