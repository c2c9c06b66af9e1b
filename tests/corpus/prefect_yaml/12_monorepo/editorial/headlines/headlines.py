import enum

from prefect import flow


class Desk(enum.Enum):
    NEWS = "news"
    SPORT = "sport"


@flow(name="headlines")
def headlines(desk: Desk = Desk.NEWS, limit: int = 20):
    """Ranks the headlines of one desk."""
