from prefect import flow


@flow(name="Quoted 'flow'", validate_parameters=False)
def quoted(**kwargs):
    print(kwargs)
