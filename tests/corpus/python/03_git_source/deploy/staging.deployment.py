import os
from pathlib import Path

from prefect import flow
from prefect.blocks.system import Secret
from prefect.runner.storage import GitRepository

REGION = os.environ["AWS_REGION"]
STAGE = os.getenv("STAGE", "dev")
POOL = {"eu": "ecs-eu", "us": "ecs-us"}[REGION.split("-")[0]]

repository = GitRepository(
    url="https://github.com/nordic-data/flows.git",
    branch="main",
    credentials={"access_token": Secret.load("github-token")},
)

if __name__ == "__main__":
    flow.from_source(source=repository, entrypoint="flows/customers.py:customer_360").deploy(
        name=f"customer-360-{STAGE}",
        work_pool_name=POOL,
        image="123.dkr.ecr.eu-north-1.amazonaws.com/flows:stable",
        build=False,
        parameters={
            "region": REGION,
            "retries": int(os.environ.get("RETRIES", "3")),
            "settings": {
                "window": {"start": "2024-01-01T00:00:00Z"},
                "sources": ["crm", "billing", os.getenv("TEAM_OVERRIDE") or "support"],
            },
        },
        tags=[STAGE, Path(__file__).parent.name],
        cron="0 3 * * *" if STAGE == "prod" else None,
        interval=None if STAGE == "prod" else 1800,
        job_variables={"env": {"AWS_REGION": REGION, "STAGE": STAGE}},
    )
