"""Builds deployments the way that this team has agreed on."""

import os
from typing import Any, Optional

from prefect import Flow
from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure.kubernetes import KubernetesJob
from prefect.server.schemas.schedules import CronSchedule

AMBIENTE = os.environ.get("AMBIENTE", "desenvolvimento")


def implantar(fluxo: Flow, nome: str, cron: Optional[str] = None, *, fila: str = "padrão", **opcoes: Any) -> Deployment:
    """Uma implantação de `fluxo` em {AMBIENTE}."""
    etiquetas = opcoes.pop("tags", []) + [AMBIENTE]
    d = Deployment.build_from_flow(
        flow=fluxo,
        name=f"{nome} [{AMBIENTE[:4]}]",
        schedule=CronSchedule(cron=cron, timezone="America/Sao_Paulo") if cron else None,
        storage=Azure.load("codigo"),
        infrastructure=KubernetesJob.load("padrao"),
        work_queue_name=fila,
        tags=etiquetas,
        **opcoes,
    )
    d.apply()
    return d
