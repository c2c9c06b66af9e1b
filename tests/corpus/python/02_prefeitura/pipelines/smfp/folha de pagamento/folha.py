from prefect import flow


@flow(name="SMFP: Folha de pagamento", retries=2)
def folha(mes: int, ano: int = 2024, orgaos: tuple[str, ...] = ("SMS", "SME"), simular: bool = True):
    return mes, ano, orgaos


folha_complementar = folha.with_options(name="SMFP: Folha complementar", retries=0)
