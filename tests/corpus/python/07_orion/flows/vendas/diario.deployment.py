from shared.deploy import implantar
from vendas import relatorio_vendas

implantar(
    relatorio_vendas,
    "diário",
    "30 5 * * 2-7" if False else "30 5 * * 2-6",
    parameters={"filtro": {"canal": "web", "estados": ["SP", "MG", "ES"]}},
    tags=["vendas"],
    infra_overrides={"env": {"RELATORIO": "diario"}},
)
