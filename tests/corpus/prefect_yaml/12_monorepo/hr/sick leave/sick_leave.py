from prefect import flow


@flow(name="Sykefravær per avdeling")
def sick_leave(måned: int = 0):
    """Teller egenmeldinger per avdeling.

    Args:
        måned: hvor mange måneder tilbake
    """
