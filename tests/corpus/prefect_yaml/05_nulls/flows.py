from prefect import flow


@flow(description="Says nothing.")
def leave_empty(value: int = 0):
    pass
