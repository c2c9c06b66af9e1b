# -*- coding: utf-8 -*-
from pathlib import Path

from prefect import flow
from prefect.schedules import Cron

from pipelines.constants import constants

RAIZ = Path(__file__).resolve().parents[3]

if __name__ == "__main__":
    flow.from_source(
        source=str(RAIZ),
        entrypoint="pipelines/datario/diario_oficial/flows.py:rj_iplanrio__diario_oficial",
    ).deploy(
        name="Diário Oficial: edição da manhã",
        work_pool_name=constants.WORK_POOL.value,
        schedules=[
            Cron("5 6 * * 1-5", timezone=constants.TIMEZONE.value, slug="manhã", parameters={"termos": ["licitação"]}),
            Cron("5 14 * * 1-5", timezone=constants.TIMEZONE.value, slug="tarde", active=False, day_or=False),
        ],
        tags=["diario", "raspagem"] + constants.RESPONSAVEIS.value,
        description="""
        Raspagem do *Diário Oficial*, duas vezes por dia útil.

        Dúvidas: conceição.
        """,
        ignore_warnings=True,
    )
