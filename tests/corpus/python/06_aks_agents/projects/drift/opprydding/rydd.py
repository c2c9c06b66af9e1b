from prefect import flow


@flow(name="Opprydding")
def rydd(dager: int = 30, mønster: str = "*.tmp"):
    "Fjerner gamle filer."
