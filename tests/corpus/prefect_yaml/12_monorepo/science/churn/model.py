from prefect import flow


@flow(name="fit-churn")
def fit(weeks: int = 52):
    pass
