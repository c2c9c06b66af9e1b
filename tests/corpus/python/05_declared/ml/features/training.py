import datetime
import enum
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Optional, Union
from uuid import UUID

from prefect import flow
from pydantic import BaseModel, SecretStr


class Device(enum.Enum):
    CPU = "cpu"
    GPU = "cuda:0"


@dataclass
class Optimizer:
    name: str = "adam"
    learning_rate: float = 1e-3


class Model(BaseModel):
    layers: list[int]
    dropout: float = 0.5
    parent: Optional["Model"] = None


@flow
def train(
    model: Model,
    optimizer: Optimizer = Optimizer(),
    device: Device = Device.CPU,
    until: datetime.datetime = datetime.datetime(2024, 12, 31, 23, 59),
    budget: datetime.timedelta = datetime.timedelta(hours=2),
    seed: Union[int, str, None] = None,
    output: Path = Path("models/latest"),
    run: Optional[UUID] = None,
    price: Decimal = Decimal("1.50"),
    token: SecretStr = SecretStr("x"),
    *,
    verbose: bool = False,
):
    """Trains.

    Args:
        model: what is trained
        seed (int): a number, or
            a text
    """
