"""One function a check: it gives what is wrong, or nothing."""

from collections.abc import Callable
from sqlite3 import Connection
from typing import Optional

from .filled import filled
from .fresh import fresh

CHECKS: list[Callable[[Connection, str, int], Optional[str]]] = [filled, fresh]
