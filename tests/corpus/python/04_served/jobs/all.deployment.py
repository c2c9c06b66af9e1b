from datetime import datetime, timedelta

from prefect import serve
from prefect.schedules import Cron, Interval

from reports import month_end, weekly

if __name__ == "__main__":
    reports = [
        weekly.to_deployment(
            name=f"{kind}-report",
            schedules=[
                Cron("0 8 * * MON", timezone="Europe/Berlin"),
                Interval(timedelta(days=1), anchor_date=datetime(2024, 3, 31, 2, 30), timezone="Europe/Berlin", parameters={"dry_run": True}),
            ],
            parameters={"kind": kind, "recipients": [f"{kind}@example.com", "boss@example.com"]},
            tags=[kind] * 1,
        )
        for kind in ("sales", "stock", "returns")
        if kind != "stock"
    ]
    closing = month_end.to_deployment("closing", cron=["0 6 1 * *", "0 6 2 * *"], parameters={"year": 2024, "month": 5})
    serve(*reports, closing, limit=10, pause_on_shutdown=False)
