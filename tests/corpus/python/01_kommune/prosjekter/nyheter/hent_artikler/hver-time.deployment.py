"""The same flow for three papers, with a schedule for working hours and another one for the night."""

from datetime import timedelta

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.schedules import Cron, Interval

from flow import hent_artikler

AVISER = {
    "dn": "Dagens Næringsliv",
    "e24": "E24",
    "fb": "Fredriksstad Blad",
}

for kortnavn, navn in AVISER.items():
    hent_artikler.deploy(
        f"{navn} hver time",
        work_pool_name="aks",
        image=f"registry.example.no/nyheter/hent-artikler:{'1.5.0-rc1' if kortnavn == 'e24' else '1.4.0'}",
        build=False,
        schedules=[
            Cron("0 7-18 * * 1-5", timezone="Europe/Oslo", slug="dagtid", parameters={"kilde": kortnavn, "maks_antall": 50}),
            Cron("30 1 * * *", "Europe/Oslo", slug="natt", active=kortnavn != "fb"),
            Interval(timedelta(hours=6), slug="helg", active=False),
        ],
        parameters=dict(kilde=kortnavn, tabell=f"raa.artikler_{kortnavn}"),
        tags=["nyheter", kortnavn],
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
    )
