import datetime as dt
from decimal import Decimal
from pathlib import PurePosixPath

from prefect.client.schemas.objects import ConcurrencyLimitConfig

from training import Device, train

OSLO = dt.timezone(dt.timedelta(hours=1))
BASE = dict(
    model={"layers": [64] * 3, "parent": {"layers": list(range(2, 8, 2)), "dropout": 0.0}},
    device=Device.GPU.value,
    until=dt.datetime(2025, 1, 1, 12, 30, tzinfo=OSLO),
)

if __name__ == "__main__":
    train.deploy(
        name="nightly (gpu)",
        work_pool_name="gpu pool",
        image="nvcr.io/acme/train:23.10-py3",
        build=False,
        schedules=[
            {"schedule": {"cron": "0 23 * * *", "timezone": "Europe/Oslo"}, "active": False}
        ] if False else None,
        interval=dt.timedelta(days=1).total_seconds(),
        parameters=BASE | {"seed": 0x2A, "output": str(PurePosixPath("models") / "nightly"), "price": str(Decimal("2.75")), "verbose": True},
        concurrency_limit=ConcurrencyLimitConfig(limit=2, grace_period_seconds=120),
        tags=[*"ab", "æ-ø-å"],
        job_variables={"resources": {"limits": {"nvidia.com/gpu": 1}}, "node_selector": None},
        paused=False,
    )
    train.with_options(name="Train on small data", description="For pull requests.").deploy(
        name="smoke test",
        work_pool_name="gpu pool",
        image="nvcr.io/acme/train:23.10-py3",
        build=False,
        parameters={"model": {"layers": []}, "budget": dt.timedelta(hours=1, minutes=30), "until": dt.date(2024, 2, 29).isoformat(), "run": "12345678-1234-5678-1234-567812345678"},
        version="pr-%d" % 17,
        enforce_parameter_schema=False,
    )
