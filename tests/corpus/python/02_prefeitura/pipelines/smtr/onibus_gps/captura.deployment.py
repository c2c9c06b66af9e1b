from datetime import timedelta

from pipelines.constants import constants
from pipelines.smtr.onibus_gps.fluxos import captura_gps
from pipelines.utils.schedules import generate_dump_schedules, start

TABELAS = {
    "registros": {
        "query": """
            SELECT
                *
            FROM gps.registros
        """,
    },
    "viagens": {"query": "SELECT id, ônibus FROM gps.viagens", "dias": "7"},
    "linhas": {"query": "SELECT 'ção' AS x\n\n   FROM dual", "dias": "30"},
}

for item in generate_dump_schedules(timedelta(hours=1), start(6, 30), TABELAS):
    captura_gps.from_source(
        source=".",
        entrypoint="fluxos.py:captura_gps",
    ).deploy(
        name=f"captura_{item['table']}",
        work_pool_name="fila-onibus",
        work_queue_name="capturas" if item["table"] != "linhas" else None,
        schedule=item["schedule"],
        parameters={"table_id": item["table"], "query": item["query"]},
        job_variables={"env": {"TABELA": item["table"].upper()}, "stream_output": True},
        ignore_warnings=True,
        print_next_steps=False,
    )
