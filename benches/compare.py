#!/usr/bin/env python3
"""Compares flowyard side by side with what it is measured against, and prints Markdown tables.

  benches/compare.py                 everything
  benches/compare.py start           how long the command takes to start, and its size
  benches/compare.py plan            a plan without changes of 1,000 and of 10,000 projects
  benches/compare.py formats         the same plan from .deployment.py files and from prefect.yaml files, and Prefect's
                                     own commands for a few of them
  benches/compare.py upload          2,000 small files, and one of 1 GB
  benches/compare.py deploy50        50 deployments on a Prefect server

Python's standard library is all that it needs; what it compares with it installs below the target folder. It builds the
release binary itself.
"""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import services
from measured import ROOT, WORK, environment, load, median, megabytes, run, seconds, surroundings, table, verdict

SDK_UPLOAD = """
import pathlib, sys, time
from azure.storage.blob import ContainerClient
connection_string, container, folder = sys.argv[1:]
folder = pathlib.Path(folder)
files = sorted(path for path in folder.rglob("*") if path.is_file())
start = time.perf_counter()
client = ContainerClient.from_connection_string(connection_string, container)
for path in files:
    client.upload_blob(path.relative_to(folder).as_posix(), path.read_bytes())
print("took", time.perf_counter() - start)
"""

FLOW = '''"""Loads source {n}."""
from prefect import flow


@flow(name="load-{n}")
def load(day: str = "2026-01-01", limit: int = {n}, tables: list[str] | None = None):
    """Loads one day."""
    print(day, limit, tables)
'''


def start(programs, options) -> None:
    """`flowyard --version`, beside a program that does nothing."""
    flowyard, _ = programs
    times = {"`true`": [], "`flowyard --version`": []}
    for _ in range(50):
        for name, command in zip(times, (["true"], [flowyard, "--version"])):
            times[name].append(run(command).wall)
    size = flowyard.stat().st_size
    print("### Start and size\n")
    table(["50 runs in turn", "wall"], [[name, seconds(walls)] for name, walls in times.items()])
    taken = median(times["`flowyard --version`"])
    verdict("`flowyard --version` under 10 ms", taken < 0.010, f"{taken * 1000:.1f} ms")
    verdict("binary under 30 MB", size < 30e6, f"{size / 1e6:.1f} MB")


def plan(programs, options) -> None:
    """Plans without changes, of one monorepo and of another ten times its size."""
    flowyard, _ = programs
    rows, walls, memory = [], {}, {}
    for projects in (options.projects, 10 * options.projects):
        root = monorepo(projects)
        shutil.rmtree(root / ".flowyard", ignore_errors=True)
        first = run([flowyard, "deploy", "--local", "--root", root])
        # Fails when it finds changes.
        command = [flowyard, "plan", "--local", "--check", "--root", root]
        run(command)
        runs = [run(command) for _ in range(options.rounds + 2)]
        walls[projects] = median([one.wall for one in runs])
        memory[projects] = max(one.memory for one in runs)
        cpu, files = median([one.cpu for one in runs]), 20 * projects
        rows.append([
            f"{projects:,} / {3 * projects:,} / {files:,}",
            seconds(one.wall for one in runs),
            f"{cpu:.2f} s",
            megabytes([one.memory for one in runs]),
            f"{first.wall:.1f} s",
        ])
    print("### A plan without changes (`plan --local --check`)\n")
    head = ["projects / deployments / files", "wall", "CPU", "peak memory", "first `deploy --local`"]
    table(head, rows)
    ratio = walls[10 * options.projects] / walls[options.projects]
    small = walls[options.projects]
    verdict("under 0.5 s", small < 0.5, f"{small:.2f} s")
    verdict("under 150 MB", memory[options.projects] < 150e6, megabytes([memory[options.projects]]))
    verdict("ten times the work in at most eleven times the time", ratio <= 11, f"{ratio:.1f} times")


def formats(programs, options) -> None:
    """Plans without changes of monorepos that declare alike deployments in other formats, in turn; and what Prefect's
    own command of each format takes for a few of their projects."""
    flowyard, _ = programs
    names = {"yaml": "3 `.deployment.yaml` each", "python": "a `.deployment.py` each", "prefect-yaml": "a `prefect.yaml` each"}
    runs = {form: [] for form in names}
    for form in names:
        root = monorepo(options.projects, form)
        shutil.rmtree(root / ".flowyard", ignore_errors=True)
        run([flowyard, "deploy", "--local", "--root", root])
    for _ in range(options.rounds + 3):
        for form in names:
            root = monorepo(options.projects, form)
            runs[form].append(run([flowyard, "plan", "--local", "--check", "--root", root]))
    print("### A plan without changes, by format\n")
    rows = [
        [
            f"{options.projects:,} projects, {names[form]}",
            seconds(one.wall for one in taken[1:]),
            f"{median([one.cpu for one in taken[1:]]):.2f} s",
            megabytes([one.memory for one in taken]),
        ]
        for form, taken in runs.items()
    ]
    table(["repository", "wall", "CPU", "peak memory"], rows)
    walls = {form: median([one.wall for one in taken[1:]]) for form, taken in runs.items()}
    for form in ("python", "prefect-yaml"):
        verdict(f"{names[form]}: under 1 s", walls[form] < 1, f"{walls[form]:.2f} s")
    own_commands(options, walls)


def own_commands(options, walls: dict[str, float]) -> None:
    """Prefect's own command of each format, which registers and has no plan, in the folders of a few projects: once for
    what is not registered yet, then again with nothing changed."""
    venv = services.prefect() / "bin"
    names = {"python": "`python NAME.deployment.py`", "prefect-yaml": "`prefect deploy --all`"}
    rows = []
    with services.running_prefect() as api:
        # A pool that takes an image: `flow.deploy` refuses any other.
        template = {"job_configuration": {"image": "{{ image }}"}, "variables": {"properties": {"image": {"type": "string"}}}}
        api.call("POST", "/work_pools/", {"name": "default", "type": "docker", "base_job_template": template})
        for form, name in names.items():
            root = monorepo(options.projects, form)
            folders = sorted((root / "projects").glob("*/*"))[: options.own]
            # Some of the flows import from the root.
            env = environment(PREFECT_API_URL=api.url, NO_COLOR="1", PYTHONPATH=root, **api.environment())

            def command(folder):
                if form == "python":
                    return [venv / "python", *folder.glob("*.deployment.py")]
                return [venv / "prefect", "--no-prompt", "deploy", "--all"]

            api.clear()
            first, again = ([run(command(folder), env=env, cwd=folder).wall for folder in folders] for _ in range(2))
            registered = len(api.deployments())
            if registered != 3 * len(folders):
                raise SystemExit(f"{name} registered {registered} deployments of {3 * len(folders)}")
            each = median(again)
            rows.append([name, seconds(first), seconds(again), f"{each * options.projects / 60:.0f} min",
                         f"{each * options.projects / walls[form]:,.0f}"])
    print(f"\nPrefect's own commands in {options.own} of the projects, three deployments each, on Prefect 3 with SQLite:\n")
    head = ["command, once a project", "first", "nothing changed", f"that {options.projects:,} times", "times flowyard's plan"]
    table(head, rows)


def monorepo(projects: int, declared_as: str = "yaml") -> pathlib.Path:
    """A generated monorepo, named by what generated it."""
    script = ROOT / "benches/generate_monorepo.py"
    digest = hashlib.sha256(script.read_bytes()).hexdigest()[:8]
    root = WORK / f"monorepo-{projects}-{declared_as}-{digest}"
    if not root.exists():
        print(f"generating {projects:,} projects ...", file=sys.stderr)
        half = root.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        subprocess.run([sys.executable, script, half, str(projects), "20", "1", declared_as], check=True)
        half.rename(root)
    return root


def upload(programs, options) -> None:
    """2,000 files of 4 KB with three clients, then flowyard against storage that answers at once."""
    flowyard, instant = programs
    root = many_files(options.files, 4096)
    code = root / "projects/many"
    az, python = services.azure_cli(), services.prefect() / "bin/python"
    empty = WORK / "empty"
    empty.mkdir(exist_ok=True)
    runs = {"flowyard": [], "sdk": [], "az": [], "az, no file": []}
    sdk_inside = []

    def flowyard_to(root, port, container, connection):
        return run(
            [flowyard, "deploy", "--root", root],
            env=environment(
                PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
                FLOWYARD_STORAGE_URL=f"azure://{services.ACCOUNT}/{container}",
                AZURE_STORAGE_CONNECTION_STRING=connection,
            ),
        )

    with services.running_instant(instant) as port, services.running_azurite() as account:
        connection = account.connection_string

        def with_flowyard(container):
            runs["flowyard"].append(flowyard_to(root, port, container, connection))

        def with_sdk(container):
            one = run([python, "-c", SDK_UPLOAD, connection, container, code])
            sdk_inside.append(float(one.output.split("took")[1]))
            runs["sdk"].append(one)

        def with_az(container):
            def batch(folder):
                return run(
                    [az, "storage", "blob", "upload-batch", "--source", folder, "--destination", container],
                    env=environment(
                        AZURE_STORAGE_CONNECTION_STRING=connection,
                        AZURE_CONFIG_DIR=WORK / "azure-config",
                        AZURE_CORE_COLLECT_TELEMETRY="no",
                    ),
                )

            runs["az"].append(batch(code))
            runs["az, no file"].append(batch(empty))

        clients = [with_flowyard, with_sdk] + ([with_az] if az else [])
        for number in range(options.rounds):
            for client in turned(clients, number):
                container = f"{client.__name__.replace('_', '-')}-{number}"
                account.create(container)
                client(container)
                found = account.count(container)
                if found < options.files:
                    raise SystemExit(f"{container} holds {found} blobs")
    # Alone on the machine: another server's leftovers would take the second core.
    with services.running_instant(instant) as port:
        endpoint = f"http://127.0.0.1:{port}/{services.ACCOUNT}"
        at_once = [
            flowyard_to(root, port, f"many-{number}", connection.replace(account.endpoint, endpoint))
            for number in range(options.rounds + 4)
        ]
        null_put = bare_puts(port, options.files)
        large = large_file(options.megabytes)
        huge = flowyard_to(large, port, "huge", connection.replace(account.endpoint, endpoint))

    def row(name, note, chosen):
        return [name, seconds(one.wall for one in chosen), f"{median([one.cpu for one in chosen]):.2f} s",
                megabytes([one.memory for one in chosen]), note]

    print(f"### Upload of {options.files:,} files of 4 KB\n")
    rows = [
        row("`flowyard deploy` to Azurite", "plan, upload, state, registration", runs["flowyard"]),
        row("Python SDK one by one to Azurite", f"of that uploading: {seconds(sdk_inside)}", runs["sdk"]),
    ]
    if az:
        rows.append(row("`az storage blob upload-batch` to Azurite", "", runs["az"]))
        rows.append(row("the same of an empty folder", "what `az` needs to start", runs["az, no file"]))
    else:
        print("`az` could not be installed, so it is not compared.\n")
    rows.append(row("`flowyard deploy` to storage that answers at once", "", at_once))
    rows.append(["bare PUTs to the same over one connection", seconds([null_put]), "", "", "Python's http.client"])
    rows.append(row(f"one file of {options.megabytes:,} MB to the same", "", [huge]))
    table(["what", "wall", "CPU", "peak memory", "note"], rows)
    ours = median([one.wall for one in runs["flowyard"]])
    ratio = median(sdk_inside) / ours
    verdict("2 times faster than the SDK's uploading alone", ratio >= 2, f"{ratio:.1f} times")
    if az:
        ratio = median([one.wall for one in runs["az"]]) / ours
        verdict("3 times faster than `az storage blob upload-batch`", ratio >= 3, f"{ratio:.1f} times")
    fast = median([one.wall for one in at_once])
    verdict("under 0.15 s where the storage answers at once", fast < 0.15, f"{fast:.3f} s")
    verdict("a file of 1 GB in under 100 MB of memory", huge.memory < 100e6, megabytes([huge.memory]))


def bare_puts(port: int, files: int) -> float:
    """What one connection alone needs for as many PUTs: whether the storage that answers at once does."""
    body = b"x" * 4096
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = time.perf_counter()
    for number in range(files):
        connection.request("PUT", f"/{services.ACCOUNT}/bare/{number}", body)
        connection.getresponse().read()
    return time.perf_counter() - begun


def many_files(files: int, length: int) -> pathlib.Path:
    root = WORK / f"upload-{files}"
    if not root.exists():
        half = root.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        project(half / "projects/many", "many", 1)
        # The flow's file is one of them.
        rng = random.Random(1)
        for number in range(files - 1):
            folder = half / f"projects/many/part_{number // 100:02}"
            folder.mkdir(exist_ok=True)
            (folder / f"file_{number:04}.bin").write_bytes(rng.randbytes(length))
        half.rename(root)
    return root


def large_file(length: int) -> pathlib.Path:
    root = WORK / f"large-{length}"
    if not root.exists():
        half = root.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        project(half / "projects/large", "large", 1)
        rng = random.Random(1)
        with open(half / "projects/large/data.bin", "wb") as file:
            for _ in range(length):
                file.write(rng.randbytes(1_000_000))
        half.rename(root)
    return root


def project(folder: pathlib.Path, name, deployments: int, pool: str | None = None) -> None:
    folder.mkdir(parents=True)
    (folder / "flow.py").write_text(FLOW.format(n=name if isinstance(name, int) else 0))
    for number in range(deployments):
        pool_line = f"work_pool: {{name: {pool}}}\n" if pool else ""
        (folder / f"at-{number}.deployment.yaml").write_text(
            f"entrypoint: flow.py:load\n"
            f"tags: [generated]\n"
            f"parameters: {{limit: {number}}}\n"
            f'schedules: [{{cron: "{number} 5 * * *", timezone: Europe/Oslo, slug: daily}}]\n'
            f"{pool_line}"
        )


def deploy50(programs, options) -> None:
    """50 deployments: a bare client, flowyard, `prefect deploy --all`; and again without changes."""
    flowyard, _ = programs
    prefect = services.prefect() / "bin/prefect"
    root = fifty(options.flows, 5)
    wanted = options.flows * 5
    taken = {"bare": [], "flowyard": [], "prefect": [], "flowyard again": [], "prefect again": []}
    refused, lost = 0, 0
    with services.running_prefect() as api:
        api.call("POST", "/work_pools/", {"name": "local", "type": "process", "base_job_template": {}})
        ours = environment(
            PREFECT_API_URL=api.url, FLOWYARD_STORAGE_URL=f"file://{WORK}/storage", FLOWYARD_REPOSITORY="acme/flows"
        )
        theirs = environment(
            PREFECT_API_URL=api.url, PREFECT_CLI_COLORS="false", NO_COLOR="1", **api.environment()
        )

        def with_flowyard():
            shutil.rmtree(WORK / "storage", ignore_errors=True)
            taken["flowyard"].append(run([flowyard, "deploy", "--root", root], env=ours).wall)

        def with_prefect():
            command = [prefect, "--no-prompt", "deploy", "--all"]
            taken["prefect"].append(run(command, env=theirs, cwd=root).wall)

        def with_bare():
            begun = time.perf_counter()
            for flow, deployment in bodies:
                answer = api.call("POST", "/flows/", flow)
                api.call("POST", "/deployments/", deployment.replace(b"FLOW_ID", answer["id"].encode()))
            taken["bare"].append(time.perf_counter() - begun)

        # The bare client sends what flowyard does.
        with_flowyard()
        taken["flowyard"].clear()
        bodies = as_bodies(api.deployments())
        clean(api, wanted)
        for number in range(options.rounds):
            for client in turned([with_bare, with_flowyard, with_prefect], number):
                before = api.refused
                client()
                refused += api.refused - before
                lost += wanted - complete(api, wanted)
                settle(api, wanted)
                if client is with_flowyard:
                    for _ in range(3):
                        taken["flowyard again"].append(run([flowyard, "deploy", "--root", root], env=ours).wall)
                if client is with_prefect:
                    command = [prefect, "--no-prompt", "deploy", "--all"]
                    taken["prefect again"].append(run(command, env=theirs, cwd=root).wall)
                clean(api, wanted)
    names = {
        "bare": f"bare client: POST flow, POST deployment, {wanted} times",
        "flowyard": "`flowyard deploy`",
        "prefect": "`prefect deploy --all`",
        "flowyard again": "`flowyard deploy`, nothing changed",
        "prefect again": "`prefect deploy --all`, nothing changed",
    }
    print(f"### {wanted} deployments with a cron each, on Prefect 3 with SQLite\n")
    table(["what", "wall"], [[name, seconds(taken[key])] for key, name in names.items()])
    print(f"Writes of the bare client that the server refused and that were sent again: {refused}.\n")
    bare, first, whole = (median(taken[key]) for key in ("bare", "flowyard", "prefect"))
    again, whole_again = median(taken["flowyard again"]), median(taken["prefect again"])
    verdict("at most 1.2 times a bare client", first <= 1.2 * bare, f"{first / bare:.2f} times")
    verdict("at least 4 times faster than `prefect deploy --all`", whole >= 4 * first, f"{whole / first:.1f} times")
    verdict("without changes at least 40 times faster", whole_again >= 40 * again, f"{whole_again / again:.0f} times")
    verdict("no lost write", lost == 0, f"{lost} lost in {3 * options.rounds * wanted}")


def fifty(flows: int, each: int) -> pathlib.Path:
    """Projects with deployment files, and a `prefect.yaml` that says the same."""
    root = WORK / f"deploy-{flows}-{each}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    entries = []
    for flow in range(flows):
        project(root / f"projects/load_{flow}", flow, each, pool="local")
        for number in range(each):
            entries.append(
                f"  - name: at-{number}\n"
                f"    entrypoint: projects/load_{flow}/flow.py:load\n"
                f"    tags: [generated]\n"
                f"    parameters: {{limit: {number}}}\n"
                f'    schedules: [{{cron: "{number} 5 * * *", timezone: Europe/Oslo, slug: daily}}]\n'
                f"    work_pool: {{name: local}}\n"
            )
    (root / "prefect.yaml").write_text(
        "pull:\n"
        f'  - prefect.deployments.steps.set_working_directory: {{directory: "{root}"}}\n'
        "deployments:\n" + "".join(entries)
    )
    # flowyard reads a `prefect.yaml` at the root as a file of a project; only the others are meant.
    (root / "flowyard.toml").write_text('[projects]\ninclude = ["projects/**"]\n')
    return root


def as_bodies(deployments: dict[str, dict]) -> list[tuple[bytes, bytes]]:
    """The two bodies of each deployment, made beforehand. `FLOW_ID` is to be replaced."""
    kept = (
        "name", "version", "description", "entrypoint", "tags", "parameters", "parameter_openapi_schema",
        "enforce_parameter_schema", "pull_steps", "work_pool_name", "work_queue_name", "job_variables",
    )
    bodies = []
    for name, one in sorted(deployments.items()):
        body = {key: one[key] for key in kept} | {"flow_id": "FLOW_ID"}
        body["labels"] = {key: value for key, value in one["labels"].items() if not key.startswith("prefect.")}
        body["schedules"] = [
            {key: schedule[key] for key in ("schedule", "active", "slug")} for schedule in one["schedules"]
        ]
        flow = {"name": name.rsplit("/", 1)[0]}
        bodies.append((json.dumps(flow).encode(), json.dumps(body).encode()))
    return bodies


def complete(api, wanted: int) -> int:
    """How many deployments are there with all that they should have."""
    found = 0
    for name, one in api.deployments().items():
        number = int(name.rsplit("-", 1)[1])
        crons = [schedule["schedule"].get("cron") for schedule in one["schedules"]]
        found += (
            crons == [f"{number} 5 * * *"]
            and one["parameters"] == {"limit": number}
            and one["work_pool_name"] == "local"
            and bool(one["parameter_openapi_schema"].get("properties"))
            and bool(one["pull_steps"])
        )
    return min(found, wanted)


def settle(api, wanted: int) -> None:
    """Waits until the server has scheduled the runs of what was deployed and is idle again."""
    last, since = -1, time.monotonic()
    deadline = since + 90
    while time.monotonic() < deadline:
        now = api.call("POST", "/flow_runs/count", {})
        if now != last:
            last, since = now, time.monotonic()
        elif now >= wanted and time.monotonic() - since > 7:
            return
        time.sleep(1)


def clean(api, wanted: int) -> None:
    """Removes everything that was deployed, and lets the server come to rest."""
    api.clear()
    if api.deployments():
        raise SystemExit("the server still has deployments")
    time.sleep(6)


def turned(clients: list, number: int) -> list:
    """Each client comes first in turn."""
    by = number % len(clients)
    return clients[by:] + clients[:by]


PARTS = {"start": start, "plan": plan, "formats": formats, "upload": upload, "deploy50": deploy50}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS), default=[])
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--projects", type=int, default=1000, help="projects of the smaller monorepo (1000)")
    parser.add_argument("--files", type=int, default=2000, help="small files to upload (2000)")
    parser.add_argument("--megabytes", type=int, default=1000, help="length of the large file (1000)")
    parser.add_argument("--own", type=int, default=10, help="projects that Prefect's own commands are measured with (10)")
    parser.add_argument("--flows", type=int, default=10, help="flows with five deployments each (10)")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    # Services are ended on the way out of their blocks.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    WORK.mkdir(parents=True, exist_ok=True)
    programs = services.built()
    commit = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    print(f"flowyard {commit or 'of no commit'}; {surroundings()}\n", flush=True)
    for name in options.parts or PARTS:
        PARTS[name](programs, options)
        print(f"\nLoad after it: {load()}\n", flush=True)


if __name__ == "__main__":
    main()
