from prefect.deployments import Deployment
from prefect.filesystems import Azure
from contagem import contagem_de_estoque

d = Deployment.build_from_flow(
    contagem_de_estoque,
    name="Contagem manual: São Luís",
    work_pool_name="k8s",
    storage=Azure.load("codigo"),
    parameters={"deposito": "São Luís", "detalhado": True},
    schedule=None,
)

if __name__ == "__main__":
    d.apply()
