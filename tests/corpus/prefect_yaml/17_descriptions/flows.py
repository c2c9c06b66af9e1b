from prefect import flow


@flow
def with_docstring(a: int, b: str = "x"):
    """
    Reads the list of customers.

    It is long, and this is its second paragraph,
        with an indent.

    Args:
        a (int): how many
            over two lines
        b: what
    Returns:
        nothing
    """


@flow(description="  From the decorator.  ")
def with_decorator():
    """Never seen."""


@flow
def without():
    return None
