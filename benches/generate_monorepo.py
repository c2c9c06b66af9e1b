#!/usr/bin/env python3
"""Generates a data-flow monorepo to measure with: generate_monorepo.py FOLDER PROJECTS FILES_PER_PROJECT [SEED [FORMAT]]

Each project has one flow, three deployments of it, a requirements file, and modules and data files up to
FILES_PER_PROJECT. FORMAT says how the deployments are declared: `yaml` (a file each; the default), `python` (one
`.deployment.py` that loops over its settings), or `prefect-yaml` (one `prefect.yaml` with anchors). Every fourth flow
imports the shared folder `lib`. The same arguments give the same bytes. With git on the path everything is committed.
"""

import pathlib
import random
import shutil
import subprocess
import sys

FLOW = '''"""Loads table {n}."""
from prefect import flow, task
{shared}
from {package} import step_0


@task(retries=2)
def extract(day: str, limit: int = {limit}) -> list[int]:
    return list(range(limit))


@flow(name="load-{n}", log_prints=True)
def load(day: str = "2026-01-01", limit: int = {limit}, tables: list[str] | None = None):
    """Loads one day."""
    for row in extract(day, limit):
        print(step_0.transform(row))


if __name__ == "__main__":
    load()
'''

DEPLOYMENT = """name: {name}
entrypoint: flow.py:load
description: Loads table {n}, {name}
tags: [generated, group-{group}]
parameters:
  limit: {limit}
schedules:
  - cron: "{minute} {hour} * * *"
    timezone: Europe/Berlin
work_pool:
  name: default
"""

PYTHON = '''"""Registers the deployments of table {n}."""
from datetime import timedelta
from pathlib import Path

from flow import load
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

HERE = Path(__file__).parent
TAGS = ["generated", "group-{group}"]
SETTINGS = {{
{settings}
}}


def schedule(text):
    if text.startswith("every "):
        return IntervalSchedule(interval=timedelta(hours=int(text.split()[1])), timezone="Europe/Berlin")
    return CronSchedule(cron=text, timezone="Europe/Berlin")


if __name__ == "__main__":
    for name, (limit, when) in SETTINGS.items():
        load.deploy(
            name=f"{{name}}-{n}",
            work_pool_name="default",
            image="acme/flows:latest",
            build=False,
            push=False,
            description=f"Loads table {n}, {{name}} ({{HERE.name}})",
            tags=TAGS + [name],
            parameters={{"limit": limit}},
            schedules=[schedule(when)],
        )
'''

PREFECT_YAML = """name: load-{n}
prefect-version: 3.8.8

definitions:
  tags: &tags [generated, group-{group}]
  work_pool: &pool
    name: default
    work_queue_name: null
    job_variables: {{}}

build: null
push: null
pull: null

deployments:
{deployments}"""

PREFECT_YAML_DEPLOYMENT = """  - name: {name}
    version: null
    tags: *tags
    description: Loads table {n}, {name}
    entrypoint: flow.py:load
    parameters:
      limit: {limit}
    work_pool: *pool
    schedules:
      - cron: "{minute} {hour} * * *"
        timezone: Europe/Berlin
        active: true
"""

MODULE = '''"""Step {i} of table {n}."""


def transform(row: int) -> int:
    # {noise}
    return row * {factor}
'''


def declare(folder: pathlib.Path, n: int, declared_as: str, rng: random.Random) -> None:
    """Three deployments of the flow."""
    each = []
    for name in ("daily", "hourly", "backfill"):
        each.append({
            "name": f"{name}-{n}",
            "n": n,
            "group": n % 20,
            "limit": rng.randrange(1, 1000),
            "minute": rng.randrange(60),
            "hour": rng.randrange(24),
        })
    if declared_as == "yaml":
        for one in each:
            (folder / f"{one['name']}.deployment.yaml").write_text(DEPLOYMENT.format(**one))
    elif declared_as == "python":
        lines = []
        for one in each:
            name, limit = one["name"].split("-")[0], one["limit"]
            when = "every 1 hours" if name == "hourly" else f"{one['minute']} {one['hour']} * * *"
            lines.append(f'    "{name}": ({limit}, "{when}"),')
        text = PYTHON.format(n=n, group=n % 20, settings="\n".join(lines))
        (folder / f"load-{n}.deployment.py").write_text(text)
    else:
        deployments = "\n".join(PREFECT_YAML_DEPLOYMENT.format(**one) for one in each)
        text = PREFECT_YAML.format(n=n, group=n % 20, deployments=deployments)
        (folder / "prefect.yaml").write_text(text)


def project(root: pathlib.Path, n: int, files: int, declared_as: str, rng: random.Random) -> None:
    folder = root / "projects" / f"group_{n % 20:02}" / f"load_{n:05}"
    package = folder / f"steps_{n}"
    package.mkdir(parents=True)
    shared = "from lib import dates" if n % 4 == 0 else "import pathlib"
    limit = rng.randrange(1, 1000)
    flow = FLOW.format(n=n, shared=shared, package=package.name, limit=limit)
    (folder / "flow.py").write_text(flow)
    (folder / "requirements.txt").write_text("prefect>=3\npandas==2.2.3\n")
    (package / "__init__.py").write_text("")
    declare(folder, n, declared_as, rng)
    for i in range(max(files - 6, 1)):
        if i % 3 < 2:
            noise = f"{rng.getrandbits(16000):x}"
            text = MODULE.format(i=i, n=n, noise=noise, factor=rng.randrange(1, 9))
            (package / f"step_{i}.py").write_text(text)
        else:
            rows = (f"{k},{rng.randrange(10**9)}\n" for k in range(300))
            (package / f"table_{i}.csv").write_text("".join(rows))


def main() -> None:
    if len(sys.argv) not in (4, 5, 6):
        sys.exit(__doc__)
    root, projects, files = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    declared_as = sys.argv[5] if len(sys.argv) > 5 else "yaml"
    if declared_as not in ("yaml", "python", "prefect-yaml"):
        sys.exit(f"unknown format {declared_as}")
    root.mkdir(parents=True)
    (root / ".gitignore").write_text("*.log\n.env\n/build/\n*.tmp\n")
    (root / "flowyard.toml").write_text('[projects]\nshared = ["lib"]\n')
    (root / "lib").mkdir()
    (root / "lib" / "__init__.py").write_text("")
    for i in range(8):
        (root / "lib" / ("dates.py" if i == 0 else f"part_{i}.py")).write_text(
            MODULE.format(i=i, n="lib", noise="x" * 3000, factor=2)
        )
    for n in range(projects):
        project(root, n, files, declared_as, rng)
    if shutil.which("git"):
        who = ["-c", "user.name=generate", "-c", "user.email=generate@example.com"]
        for arguments in (
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            [*who, "commit", "-q", "-m", "Generate"],
        ):
            subprocess.run(["git", "-C", str(root), *arguments], check=True)


if __name__ == "__main__":
    main()
