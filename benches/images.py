#!/usr/bin/env python3
"""Compares images by flowyard's own builder with `docker build` and `docker push`, and prints Markdown tables.

  benches/images.py                  everything
  benches/images.py builds           an image of 74 packages: cold, one line of code, nothing, one requirement changed
  benches/images.py many             20 projects with the same packages and different code
  benches/images.py large            a layer of 1 GB

Needs docker.io, docker-registry, buildah and skopeo of Debian 12 beside what `compare.py` needs, root for the daemon, and
PyPI. It starts registries and a daemon of its own.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import services
from measured import ROOT, WORK, environment, load, median, megabytes, run, seconds, surroundings, table, verdict

REQUIREMENTS = ROOT / "benches/images/requirements.txt"
# Other versions of one of them, with their hashes: what "one requirement changed" writes.
CHANGED = ("humanize==4.17.0", "humanize==4.16.0")
HASHES = {
    "02d0899527760efe18011944f882df4970943b4cdff7b5a0ba7fed43a576ef98": "353eb2f34c09d098b2880eee8bef21832eae6d174f48c5762fff7e5fcb74d01d",
    "1d6a36c453dbfbb3f0b34601d2e0b4ce5d48d780305cd45714843f0068fde6ac": "7dc2244a2f84a4bfb1d36c37bac80cd78e35cdc5c119206d87b018e1445f3a3f",
}

FLOW = '''"""Counts rows."""
import humanize
import pandas
import sqlalchemy
import xarray
from prefect import flow

LINE = 0


@flow(name="rows-NAME")
def rows(rows: int = 1):
    """Counts rows."""
    print(humanize.intcomma(rows + LINE), pandas.__version__, sqlalchemy.__version__, xarray.__version__)
'''

PIP = """FROM {base}
WORKDIR /app
COPY requirements.txt .
RUN pip install --quiet --no-cache-dir -r requirements.txt
COPY flow.py .
"""

# In an image that has `uv`, as ghcr.io/astral-sh/uv has such.
UV = """FROM {uv}
WORKDIR /app
COPY requirements.txt .
RUN uv pip install --quiet --system --break-system-packages --no-cache -r requirements.txt
COPY flow.py .
"""

# As the documentation of uv has it for Docker: its cache is kept between builds, byte code is compiled.
CACHED = """FROM {uv}
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/uv \\
    uv pip install --quiet --system --break-system-packages --link-mode=copy --compile-bytecode -r requirements.txt
COPY flow.py .
"""

# What is measured, in this order, in every round.
STEPS = {"cold": 1, "code": 3, "nothing": 3, "requirement": 1}


@dataclasses.dataclass
class Round:
    """What is fresh in a round: a registry with the base, a daemon that has pulled it, and empty caches."""

    number: int
    registry: str
    docker: dict[str, str]
    folder: pathlib.Path
    base: str
    uv: str


@contextlib.contextmanager
def fresh(number: int):
    with services.running_registry() as registry, services.running_dockerd() as docker:
        with tempfile.TemporaryDirectory(prefix="flowyard-images-", ignore_cleanup_errors=True) as folder:
            base, with_uv = f"{registry}/base:3.11", f"{registry}/uv:3.11"
            push_base(base)
            context = pathlib.Path(folder, "uv")
            context.mkdir()
            shutil.copy(services.uv(), context / "uv")
            # The base has the machine's certificates, uv its own.
            certificates = "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"
            (context / "Dockerfile").write_text(f"FROM {base}\n{certificates}\nCOPY uv /usr/local/bin/uv\n")
            for command in (["build", "--quiet", "--tag", with_uv, context], ["push", "--quiet", with_uv]):
                run(["docker", *command], env=docker | {"DOCKER_BUILDKIT": "0"})
            yield Round(number, registry, docker, pathlib.Path(folder), base, with_uv)


def push_base(reference: str) -> None:
    run(["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", services.base_image(), f"docker://{reference}"])


def project(folder: pathlib.Path, name: str = "rows") -> None:
    folder.mkdir(parents=True)
    (folder / "flow.py").write_text(FLOW.replace("NAME", name))
    (folder / "requirements.txt").write_text(REQUIREMENTS.read_text())
    (folder / "daily.deployment.yaml").write_text("entrypoint: flow.py:rows\n")


def change(folder: pathlib.Path, step: str, number: int) -> None:
    """Changes a project as the step has it."""
    if step == "code":
        flow = folder / "flow.py"
        text = flow.read_text()
        line = next(one for one in text.splitlines() if one.startswith("LINE"))
        flow.write_text(text.replace(line, f"LINE = {1000 + number}"))
    elif step == "requirement":
        text = REQUIREMENTS.read_text().replace(*CHANGED)
        for old, new in HASHES.items():
            text = text.replace(old, new)
        (folder / "requirements.txt").write_text(text)


def at_rest() -> None:
    """Lets the disk take what the one before left in memory, which would hold up whoever comes next."""
    os.sync()


class Ours:
    """`flowyard deploy` with the builder `oci`, and code in the image."""

    name = "flowyard"

    def __init__(self, of: Round, flowyard: pathlib.Path, port: int, project_names=("rows",), bytecode: bool = False):
        self.round, self.flowyard = of, flowyard
        if bytecode:
            self.name = "flowyard, `bytecode = true`"
        kind = "compiled" if bytecode else "flowyard"
        self.root = of.folder / kind
        self.repository = f"{of.registry}/{kind}"
        self.projects = [self.root / name for name in project_names]
        for folder, name in zip(self.projects, project_names):
            project(folder, name)
        (self.root / "flowyard.toml").write_text(
            f"[image]\nrepository = '{self.repository}'\nbase = '{of.base}'\ncode = true\n"
            f"bytecode = {str(bytecode).lower()}\n"
        )
        self.environment = environment(
            PATH=f"{services.uv().parent}:{os.environ['PATH']}",
            PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
            FLOWYARD_STORAGE_URL=f"file://{of.folder}/{kind}-storage",
            XDG_CACHE_HOME=of.folder / f"{kind}-cache",
            UV_CACHE_DIR=of.folder / f"{kind}-uv-cache",
            DOCKER_CONFIG=of.folder,
        )

    def take(self, step: str) -> tuple[float, int]:
        one = run([self.flowyard, "deploy", "--root", self.root], env=self.environment)
        made = len(self.projects)
        said = f"; {made} image{'s'[: made > 1]} built" in one.output
        if said != (step != "nothing"):
            raise SystemExit(f"{step}:\n{one.output}")
        if step != "nothing":
            self.told = one.output
        return one.wall, one.memory

    def reference(self) -> str:
        """The image that was built last, by the beginning of its tag, as the command tells it."""
        told = self.told.split(f"built     {self.repository}:")[1].split()[0]
        state = json.load(urllib.request.urlopen(f"http://{self.round.registry}/v2/{self.repository.split('/')[1]}/tags/list"))
        return f"{self.repository}:{next(tag for tag in state['tags'] if tag.startswith(told))}"


class Docker:
    """`docker build` and `docker push`, tagged by what a commit would be."""

    def __init__(self, of: Round, name: str, dockerfile: str, program: str = "docker", buildkit: bool = False):
        self.round, self.name, self.program = of, name, program
        folder = hashlib.sha256(name.encode()).hexdigest()[:8]
        self.repository = f"{of.registry}/{folder}"
        self.projects = [of.folder / folder]
        project(self.projects[0])
        (self.projects[0] / "Dockerfile").write_text(dockerfile.format(base=of.base, uv=of.uv))
        self.commit = 0
        self.environment = of.docker | {"DOCKER_BUILDKIT": str(int(buildkit))}

    def take(self, step: str) -> tuple[float, int]:
        self.commit += step != "nothing"
        begun = time.perf_counter()
        name = self.reference()
        build = [self.program, "build", "--quiet", "--network=host", "--tag", name, self.projects[0]]
        one = run(build, env=self.environment)
        two = run([self.program, "push", "--quiet", name], env=self.environment)
        return time.perf_counter() - begun, max(one.memory, two.memory)

    def reference(self) -> str:
        return f"{self.repository}:{self.commit}"


class Buildah(Docker):
    """`buildah build` and `buildah push`."""

    def __init__(self, of: Round, name: str, dockerfile: str):
        super().__init__(of, name, dockerfile)
        storage = of.folder / "buildah"
        self.flags = ["--storage-driver=overlay", f"--root={storage}/root", f"--runroot={storage}/run"]
        self.environment = environment(BUILDAH_ISOLATION="chroot", DOCKER_CONFIG=of.docker["DOCKER_CONFIG"], REGISTRY_AUTH_FILE=storage / "auth.json")
        storage.mkdir()
        (storage / "auth.json").write_text("{}")
        self.call("pull", "--quiet", "--tls-verify=false", of.base)

    def call(self, command: str, *arguments):
        return run(["buildah", *self.flags, command, *arguments], env=self.environment)

    def take(self, step: str) -> tuple[float, int]:
        self.commit += step != "nothing"
        begun = time.perf_counter()
        name = self.reference()
        one = self.call("build", "--quiet", "--layers", "--tls-verify=false", "--tag", name, self.projects[0])
        two = self.call("push", "--quiet", "--tls-verify=false", name)
        return time.perf_counter() - begun, max(one.memory, two.memory)


def with_buildkit() -> str | None:
    """A `docker` that has BuildKit without buildx, as Debian 12's has; `None` where there is none."""
    for folder in os.environ["PATH"].split(":"):
        program = pathlib.Path(folder, "docker")
        if program.is_file():
            said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            if said.startswith("Docker version 20.10") or has_buildx(program):
                with contextlib.suppress(subprocess.CalledProcessError):
                    if takes_mounts(program):
                        return str(program)
    return None


def has_buildx(program) -> bool:
    return subprocess.run([program, "buildx", "version"], capture_output=True).returncode == 0


def takes_mounts(program) -> bool:
    """Whether it starts a build by BuildKit at all: one without a daemon says that, one without BuildKit something else."""
    said = subprocess.run(
        [program, "build", "-"],
        env=environment(DOCKER_BUILDKIT="1", DOCKER_HOST="unix:///nonexistent"),
        input="FROM scratch\n",
        capture_output=True,
        text=True,
    )
    return "buildx component is missing" not in said.stderr


def builds(programs, options) -> None:
    """One project, all builders in turn, step by step."""
    flowyard, instant = programs
    buildkit = with_buildkit()
    taken: dict[str, dict[str, list[float]]] = {}
    imports: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    memory = []
    for number in range(options.rounds):
        with fresh(number) as of, services.running_instant(instant) as port:
            clients = [
                Ours(of, flowyard, port),
                Ours(of, flowyard, port, bytecode=True),
                Docker(of, "docker, pip", PIP),
                Docker(of, "docker, uv", UV),
                *([Docker(of, "docker with BuildKit, uv, its cache kept", CACHED, buildkit, True)] if buildkit else []),
                Buildah(of, "buildah, pip", PIP),
            ]
            for step, times in STEPS.items():
                for again in range(times):
                    for client in turned(clients, number + again):
                        for folder in client.projects:
                            change(folder, step, 10 * number + again)
                        at_rest()
                        wall, peak = client.take(step)
                        taken.setdefault(client.name, {}).setdefault(step, []).append(wall)
                        print(f"{number} {step} {client.name}: {wall:.2f} s", file=sys.stderr)
                        if client.name == Ours.name:
                            memory.append(peak)
            for client in clients:
                reference = client.reference()
                sizes[client.name] = pull_size(of, reference) - pull_size(of, of.uv if "uv" in client.name else of.base)
                imports.setdefault(client.name, []).extend(start_up(of, reference))
    print("### An image of 74 packages (172 MB), whole commands\n")
    head = ["what", "cold", "one requirement", "one line of code", "nothing", "added to the base", "imports in a new container"]
    order = ("cold", "requirement", "code", "nothing")
    rows = [
        [name, *(seconds(steps[step]) for step in order), f"{sizes[name] / 1e6:.0f} MB", seconds(imports[name])]
        for name, steps in taken.items()
    ]
    table(head, rows)
    print(f"Peak memory of flowyard: {megabytes(memory)}.\n")
    ours, pip = taken[Ours.name], taken["docker, pip"]
    for step, what, factor, limit in (
        ("cold", "cold", 6, None),
        ("requirement", "one changed requirement", 6, None),
        ("code", "one changed line of code", 5, 0.12),
        ("nothing", "nothing changed", 3, 0.05),
    ):
        mine, theirs = median(ours[step]), median(pip[step])
        verdict(f"{what} at least {factor} times faster than docker with pip", theirs >= factor * mine, f"{theirs / mine:.1f} times")
        if limit:
            verdict(f"{what} under {limit} s", mine < limit, f"{mine:.3f} s")


def turned(clients: list, number: int) -> list:
    by = number % len(clients)
    return clients[by:] + clients[:by]


def pull_size(of: Round, reference: str) -> int:
    """The length of the layers of an image in the registry, as a worker pulls them."""
    name, tag = reference.removeprefix(f"{of.registry}/").rsplit(":", 1)
    kinds = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    request = urllib.request.Request(f"http://{of.registry}/v2/{name}/manifests/{tag}", headers={"Accept": kinds})
    return sum(layer["size"] for layer in json.load(urllib.request.urlopen(request))["layers"])


def start_up(of: Round, image: str) -> list[float]:
    """What the imports of a flow take in new containers."""
    script = "import time; t = time.perf_counter(); import flow; print('took', time.perf_counter() - t)"
    run(["docker", "pull", "--quiet", image], env=of.docker)
    command = ["docker", "run", "--rm", "--network=host", "--env=PREFECT_HOME=/tmp/prefect", image, "python3", "-c", script]
    return [float(run(command, env=of.docker).output.split("took")[1]) for _ in range(3)]


def many(programs, options) -> None:
    """One project and 20, in turn, each from nothing."""
    flowyard, instant = programs
    taken: dict[int, dict[str, list[float]]] = {1: {}, 20: {}}
    for number in range(options.rounds):
        for count in turned([1, 20], number):
            with fresh(number) as of, services.running_instant(instant) as port:
                ours = Ours(of, flowyard, port, [f"rows-{one}" for one in range(count)])
                for step in ("cold", "code", "nothing"):
                    for folder in ours.projects:
                        change(folder, step, number)
                    at_rest()
                    taken[count].setdefault(step, []).append(ours.take(step)[0])
    print("### Projects with the same packages and different code\n")
    steps = ("cold", "code", "nothing")
    table(
        ["projects", "cold", "one line of code in each", "nothing"],
        [[count, *(seconds(taken[count][step]) for step in steps)] for count in taken],
    )
    ratio = median(taken[20]["cold"]) / median(taken[1]["cold"])
    verdict("20 projects in less than 3 times the time of one", ratio < 3, f"{ratio:.2f} times")


def large(programs, options) -> None:
    """A file of 1 GB in the code of a project."""
    flowyard, instant = programs
    with services.running_registry() as registry, services.running_instant(instant) as port:
        with tempfile.TemporaryDirectory(prefix="flowyard-images-") as folder:
            base = f"{registry}/base:3.11"
            push_base(base)
            ours = Ours(Round(0, registry, {}, pathlib.Path(folder), base, ""), flowyard, port)
            (ours.projects[0] / "requirements.txt").unlink()
            rng = random.Random(1)
            with open(ours.projects[0] / "data.bin", "wb") as file:
                for _ in range(1000):
                    file.write(rng.randbytes(1_000_000))
            wall, memory = ours.take("cold")
    print("### A layer of 1 GB that cannot be packed\n")
    table(["what", "wall", "peak memory"], [["`flowyard deploy`", seconds([wall]), megabytes([memory])]])
    verdict("under 200 MB", memory < 200e6, megabytes([memory]))


PARTS = {"builds": builds, "many": many, "large": large}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS), default=[])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    WORK.mkdir(parents=True, exist_ok=True)
    programs = services.built()
    services.uv(), services.base_image()
    print(f"{surroundings()}\n", flush=True)
    for name in options.parts or PARTS:
        PARTS[name](programs, options)
        print(f"\nLoad after it: {load()}\n", flush=True)


if __name__ == "__main__":
    main()
