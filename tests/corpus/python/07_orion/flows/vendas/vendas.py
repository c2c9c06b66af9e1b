from enum import Enum
from typing import List, Optional

from prefect import flow
from pydantic import BaseModel


class Canal(str, Enum):
    LOJA = "loja"
    WEB = "web"


class Filtro(BaseModel):
    canal: Canal = Canal.LOJA
    estados: List[str] = ["SP", "RJ"]
    minimo: Optional[float] = None


@flow(name="Relatório de vendas", description="Vendas do dia anterior, por loja.")
def relatorio_vendas(filtro: Filtro = Filtro(), enviar: bool = True):
    pass


@flow(name="Comissões")
def comissoes(mes: int, ano: int):
    """Comissões dos vendedores."""
