from prefect.deployments import Deployment
from prefect.filesystems import Azure

from vault_flow import kv_flow

storage = Azure.load("flows")

deployment = Deployment(
    name="ACI demo",
    flow_name=kv_flow.name,
    entrypoint="vault_flow.py:kv_flow",
    storage=storage,
    path="key_vault_demo",
    parameters={"secret_name": "secret2"},
    work_queue_name="aci",
    parameter_openapi_schema={"title": "Parameters", "type": "object", "properties": {}},
)

if __name__ == "__main__":
    deployment.apply()
