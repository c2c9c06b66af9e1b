from prefect import flow

REPO = "https://github.com/nordic-data/flows.git"
SCHEDULES = {"ecs-eu": "0 4 * * 0", "ecs-us": "0 9 * * 0"}

purge = flow.from_source(REPO, "flows/customers.py:purge")

for pool, cron in SCHEDULES.items():
    suffix = pool.rpartition("-")[2].upper()
    purge.deploy(
        name=f"purge {suffix}",
        work_pool_name=pool,
        cron=cron,
        parameters={"older_than_days": 30 if suffix == "EU" else 365, "really": True},
        tags=["gdpr"] if suffix == "EU" else [],
        version="7" if suffix == "EU" else None,
    )
