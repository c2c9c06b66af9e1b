from prefect import flow


@flow
def hello_commit(commit: str = "unknown", note: str | None = None) -> str:
    return f"hello from {commit}"
