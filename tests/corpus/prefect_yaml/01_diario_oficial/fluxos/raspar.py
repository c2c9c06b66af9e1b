"""Fluxos que leem o Diário Oficial."""

from __future__ import annotations

from datetime import date, timedelta

from prefect import flow, get_run_logger, task


@task(retries=3, retry_delay_seconds=30)
def baixar(municipio: str, dia: date) -> list[str]:
    get_run_logger().info("baixando %s de %s", dia, municipio)
    return []


@flow(name="Raspar Diário Oficial", retries=1)
def raspar_diario(municipio: str, dias: int = 1, palavras: list[str] = ["licitação"]):
    """Lê as edições dos últimos dias.

    Args:
        municipio: nome do município, com acentos
        dias: quantos dias para trás
        palavras: termos que marcam um ato como relevante
    """
    hoje = date.today()
    for atraso in range(dias):
        baixar(municipio, hoje - timedelta(days=atraso))


if __name__ == "__main__":
    raspar_diario("São Paulo")
