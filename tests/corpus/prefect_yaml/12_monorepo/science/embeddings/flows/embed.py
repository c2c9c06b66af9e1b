from pydantic import BaseModel, Field
from prefect import flow


class Training(BaseModel):
    """How to train."""

    epochs: int = Field(default=3, ge=1)
    rate: float = 1e-4


@flow(name="train-embeddings")
def train(settings: Training = Training()):
    return settings


@flow(name="index-embeddings", log_prints=True)
def index(collection: str = "articles", batch: int = 512):
    print(collection, batch)
