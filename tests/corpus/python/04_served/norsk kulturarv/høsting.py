from typing import Annotated

from prefect import flow
from pydantic import Field


@flow(name="Høsting av «Digitalt Museum»")
def høst_museum(eier: str, sider: Annotated[int, Field(ge=1, le=100)] = 10, søk: str = "båt OR færing"):
    """Høster.

    Args:
        eier: Museet: «NF», «MM» …
        søk: Hva som søkes etter.
    """
