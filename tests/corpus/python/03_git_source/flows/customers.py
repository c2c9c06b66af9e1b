from datetime import datetime, timedelta

from prefect import flow
from pydantic import BaseModel, Field


class Window(BaseModel):
    """The time that is looked at."""

    start: datetime = Field(description="inclusive")
    length: timedelta = timedelta(days=1)


class Settings(BaseModel):
    window: Window
    sources: list[str] = Field(default_factory=list, min_length=1)
    sample: float = Field(0.1, ge=0, le=1)


@flow(name="Customer 360", description="Joins what we know of a customer.")
def customer_360(settings: Settings, region: str = "eu-north-1", retries: int = 3):
    return settings, region, retries


@flow
def purge(older_than_days: int = 90, really: bool = False):
    """Removes customers that asked for it."""
