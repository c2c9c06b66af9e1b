#!/usr/bin/env python
"""Everything in one file: what is checked, the flow, and how it is served."""
import socket
from datetime import timedelta

from prefect import flow, get_run_logger

HOSTS = {"db": ("db.internal", 5432), "cache": ("cache.internal", 6379)}


def reachable(host: str, port: int, timeout: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


@flow(flow_run_name="health-{host}")
def health_check(host: str = "db.internal", port: int = 5432, timeout: float = 2.5):
    get_run_logger().info("%s:%s %s", host, port, reachable(host, port, timeout))


def main() -> None:
    health_check.serve("health", interval=timedelta(minutes=5), tags=list(HOSTS), parameters={"port": HOSTS["db"][1]})


if __name__ == "__main__":
    main()
