from prefect import flow


@flow(version="1.0.2")
def captura_gps(table_id: str, query: str, dataset_id: str = "br_rj_riodejaneiro_onibus_gps", reprocessar: bool = False):
    """Captura o GPS dos ônibus."""


@flow(name="SMTR: Materialização - GPS", description="Materialização das tabelas do GPS")
def materializa_gps(upstream: bool = True, downstream: bool | None = None, exclude: str | None = None):
    pass
