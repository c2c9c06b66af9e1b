import itertools
import tomllib
from functools import partial
from pathlib import Path

import yaml
from prefect.schedules import Cron

from load import load_table

CONFIG = Path(__file__).parent.parent / "config"
tables = yaml.safe_load((CONFIG / "deployments.yaml").read_text(encoding="utf-8"))
tables.pop("defaults")
with open(CONFIG / "environments.toml", "rb") as file:
    environments = tomllib.load(file)

deploy = partial(load_table.deploy, image="registry.example.dk/etl:1", build=False, print_next_steps=False)

for (table, config), (name, env) in itertools.product(tables.items(), environments.items()):
    match env:
        case {"active": True, "env": variables}:
            extra = {"env": {**variables, "TABLE": table}}
        case {"replicas": 1}:
            extra = {}
        case _:
            raise ValueError(f"unknown environment {name}")
    deploy(
        f"{table}.{name}",
        work_pool_name=env["pool"],
        schedule=Cron(config["cron"], timezone=config["timezone"], active=env["active"], slug=f"{table}-{name}"),
        parameters={**config["parameters"], "options": {"replicas": env["replicas"], "nested": {"a": [1, 2.5, None, True]}}},
        tags=config["tags"] + [name],
        job_variables={"replicas": env["replicas"], **extra},
    )
