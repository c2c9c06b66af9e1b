from prefect import flow


@flow
def ingest(path: str = "", retries: int = 0):
    print(path, retries)
