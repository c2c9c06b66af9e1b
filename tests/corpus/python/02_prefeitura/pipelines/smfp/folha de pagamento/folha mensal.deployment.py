"""As folhas do mês, e a complementar que se roda à mão."""
from prefect import deploy
from prefect.schedules import RRule
from folha import folha, folha_complementar

MESES = ["jan", "fev", "mar"]
comum = {"tags": ["smfp", "confidencial"], "enforce_parameter_schema": True}


def mensal(indice, mes):
    return folha.from_source(source="./", entrypoint="folha.py:folha").to_deployment(
        f"Folha de {mes.capitalize()}/2024",
        rrule=f"DTSTART:2024{indice + 1:02d}05T090000\nRRULE:FREQ=YEARLY;BYMONTH={indice + 1};BYMONTHDAY=5",
        parameters={"mes": indice + 1, "orgaos": ["SMS", "SME", "SMAS"][: indice + 1]},
        **comum,
    ) if False else folha.from_source(source="./", entrypoint="folha.py:folha").to_deployment(
        f"Folha de {mes.capitalize()} de 2024",
        schedule=RRule(f"DTSTART:2024{indice + 1:02d}05T090000\nRRULE:FREQ=YEARLY;BYMONTH={indice + 1};BYMONTHDAY=5", timezone="America/Sao_Paulo"),
        parameters={"mes": indice + 1, "orgaos": ["SMS", "SME", "SMAS"][: indice + 1]},
        **comum,
    )


if __name__ == "__main__":
    deploy(*[mensal(i, m) for i, m in enumerate(MESES)], work_pool_name="prefeitura", ignore_warnings=True)
    folha_complementar.serve(name="Complementar", parameters=dict(mes=12), paused=True, limit=1)
