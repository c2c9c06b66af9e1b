from prefect import flow, task


@task
def double(x: int) -> int:
    return 2 * x


@flow(name="transform-flow")
def transform(values: list[int] = [1, 2, 3]):
    return [double(x) for x in values]
