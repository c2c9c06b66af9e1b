from prefect import flow


@flow(name="Key Vault demo")
def kv_flow(secret_name: str = "secret1"):
    """Reads a secret."""
