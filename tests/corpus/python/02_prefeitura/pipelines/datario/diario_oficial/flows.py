from typing import List, Optional

from prefect import flow, task


@task
def raspar(edicao: str, termos: List[str]):
    return [edicao for _ in termos]


@flow(name="IPLANRIO: Diário Oficial - Raspagem", log_prints=True)
def rj_iplanrio__diario_oficial(
    data: Optional[str] = None,
    termos: List[str] = ["licitação", "nomeação"],
    max_paginas: int = 1_000,
    dump_mode: str = "append",
):
    """
    Raspa o Diário Oficial do município.

    Args:
        data (str, optional): A data da edição, como `2024-05-31`; hoje, se não for dada.
        termos (List[str]): O que se procura: termos com acentuação.
        max_paginas: Nunca mais do que isso.
    """
    return raspar(data or "hoje", termos)
