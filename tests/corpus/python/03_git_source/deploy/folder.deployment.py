from prefect import flow
from prefect.runner.storage import GitRepository

if __name__ == "__main__":
    flow.from_source(
        source=GitRepository(
            "https://github.com/nordic-data/flows.git",
            name="sparse-flows",
            directories=["flows"],
        ),
        entrypoint="flows/customers.py:purge",
    ).to_deployment("purge-sparse", paused=True).apply(work_pool_name="ecs-us")
