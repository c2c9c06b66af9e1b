import datetime as dt

from prefect import deploy
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from felles.utrulling import MILJØER, REGISTER, jobbvariabler, prosjekt
from kurser import etterslep, hent_valutakurser

PROSJEKT = prosjekt(__file__)
OSLO = "Europe/Oslo"


def lag(miljø):
    plan = (
        CronSchedule(cron="45 16 * * MON-FRI", timezone=OSLO)
        if miljø.er_produksjon
        else IntervalSchedule(interval=dt.timedelta(days=1, hours=2), anchor_date=dt.datetime(2024, 1, 1, 8, tzinfo=dt.timezone.utc), timezone=OSLO)
    )
    yield hent_valutakurser.to_deployment(
        name=f"valutakurser-{miljø.navn}",
        schedule=plan,
        tags=[PROSJEKT, *miljø.merker],
        parameters={"valutaer": ["EUR", "USD", "NOK"] if miljø.er_produksjon else ["EUR"], "tørrkjøring": not miljø.er_produksjon},
        job_variables=jobbvariabler(miljø, cpu_limit=None, service_account_name="kurser"),
        version="v" + ".".join(map(str, (1, 2, len(miljø.merker)))),
        paused=not miljø.er_produksjon,
    )
    yield etterslep.to_deployment(
        name=f"etterslep-{miljø.navn}",
        tags=sorted({PROSJEKT, "manuell", *miljø.merker}),
        parameters={"fra_år": 1999, "til_år": 2000 + 23},
        job_variables=jobbvariabler(miljø),
        concurrency_limit=2,
    )


if __name__ == "__main__":
    for miljø in MILJØER:
        deploy(*lag(miljø), work_pool_name=miljø.pool, image=f"{REGISTER}/{PROSJEKT}:2024-05", build=False, push=False)
