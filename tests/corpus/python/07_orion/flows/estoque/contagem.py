from prefect import flow


@flow
def contagem_de_estoque(deposito: str = "Conceição", detalhado: bool = False):
    """Conta."""


@flow(name="Inventário")
def inventario():
    pass
