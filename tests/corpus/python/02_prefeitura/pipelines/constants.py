from enum import Enum


class constants(Enum):
    """Constantes de todas as pipelines."""

    WORK_POOL = "prefeitura"
    TIMEZONE = "America/Sao_Paulo"
    RESPONSAVEIS = ["joão.silva", "conceição"]
    BUCKET = "rj-iplanrio"
    INTERVALO_MINUTOS = 3
