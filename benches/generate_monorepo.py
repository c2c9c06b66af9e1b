#!/usr/bin/env python3
"""Generates a data-flow monorepo to measure with: generate_monorepo.py FOLDER PROJECTS FILES_PER_PROJECT [SEED]

Each project has one flow, three deployment files for it, a requirements file, and modules and data files up to
FILES_PER_PROJECT. Every fourth flow imports the shared folder `lib`. The same arguments give the same bytes. With git
on the path everything is committed.
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

MODULE = '''"""Step {i} of table {n}."""


def transform(row: int) -> int:
    # {noise}
    return row * {factor}
'''


def project(root: pathlib.Path, n: int, files: int, rng: random.Random) -> None:
    folder = root / "projects" / f"group_{n % 20:02}" / f"load_{n:05}"
    package = folder / f"steps_{n}"
    package.mkdir(parents=True)
    shared = "from lib import dates" if n % 4 == 0 else "import pathlib"
    limit = rng.randrange(1, 1000)
    flow = FLOW.format(n=n, shared=shared, package=package.name, limit=limit)
    (folder / "flow.py").write_text(flow)
    (folder / "requirements.txt").write_text("prefect>=3\npandas==2.2.3\n")
    (package / "__init__.py").write_text("")
    for name in ("daily", "hourly", "backfill"):
        text = DEPLOYMENT.format(
            name=f"{name}-{n}",
            n=n,
            group=n % 20,
            limit=rng.randrange(1, 1000),
            minute=rng.randrange(60),
            hour=rng.randrange(24),
        )
        (folder / f"{name}-{n}.deployment.yaml").write_text(text)
    for i in range(max(files - 6, 1)):
        if i % 3 < 2:
            noise = f"{rng.getrandbits(16000):x}"
            text = MODULE.format(i=i, n=n, noise=noise, factor=rng.randrange(1, 9))
            (package / f"step_{i}.py").write_text(text)
        else:
            rows = (f"{k},{rng.randrange(10**9)}\n" for k in range(300))
            (package / f"table_{i}.csv").write_text("".join(rows))


def main() -> None:
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    root, projects, files = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(int(sys.argv[4]) if len(sys.argv) == 5 else 1)
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
        project(root, n, files, rng)
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
