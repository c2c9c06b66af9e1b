"""What the comparison speaks to, installed below the target folder on first use and started on free ports."""

import base64
import contextlib
import email.utils
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from measured import ROOT, TARGET, WORK, environment

ACCOUNT = "devstoreaccount1"
# The key of Azurite's account, published in its documentation; no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURITE = "azurite@3.37.0"
AZURE_CLI = "azure-cli"


def installed(folder: pathlib.Path, pins: str, install) -> pathlib.Path:
    """Installs once, until the pins or the place change; the tests of the repository do it in the same way and share
    what they installed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Several checkouts may share one folder by a link: the place is where it leads.
    folder = folder.parent.resolve() / folder.name
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, expected = folder / "stamp", f"{folder}\n{pins}"
        if not stamp.exists() or stamp.read_text() != expected:
            print(f"installing {folder.name} in {folder} ...", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            stamp.write_text(expected)
    return folder


def venv(folder: pathlib.Path, *packages: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-input", *packages], check=True)


def prefect() -> pathlib.Path:
    """A virtual environment with Prefect 3 and the Azure SDK, of the versions that the tests use."""
    pins = ROOT / "tests/services/prefect3.txt"
    return installed(TARGET / "services/prefect3", pins.read_text(), lambda folder: venv(folder, "-r", str(pins)))


def azurite() -> pathlib.Path:
    def install(folder):
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, AZURITE], check=True)

    return installed(TARGET / "services/azurite", AZURITE, install) / "node_modules/.bin/azurite-blob"


def azure_cli() -> pathlib.Path | None:
    """The Azure CLI's `az`; `None`, and why on stderr, where it cannot be had."""
    try:
        return installed(WORK / "azure-cli", AZURE_CLI, lambda folder: venv(folder, AZURE_CLI)) / "bin/az"
    except subprocess.CalledProcessError as error:
        print(f"the Azure CLI cannot be installed: {error}", file=sys.stderr)
        return None


def uv() -> pathlib.Path:
    """`uv`, of the version that the tests use."""
    pins = "uv==0.13.9\n"
    return installed(TARGET / "services/uv", pins, lambda folder: venv(folder, pins.strip())) / "bin/uv"


def base_image() -> str:
    """The image with Python 3.11 that the tests use, as skopeo names it; made from Debian packages."""
    script = ROOT / "tests/services/base_image.py"
    folder = installed(
        TARGET / "services/base-image",
        script.read_text(),
        lambda folder: subprocess.run([sys.executable, script, folder], check=True),
    )
    return f"oci:{folder}/layout:3.11"


def built() -> tuple[pathlib.Path, pathlib.Path]:
    """The release binary, and the services that answer at once."""
    command = ["cargo", "build", "--release", "--locked", "--bin", "flowyard", "--bench", "instant"]
    subprocess.run(command, cwd=ROOT, check=True)
    said = subprocess.run(
        [*command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    made = {}
    for line in said.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            made[message["target"]["name"]] = pathlib.Path(message["executable"])
    return made["flowyard"], made["instant"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def started(name: str, command, ready, **env: str):
    """A service in a process group of its own, ended with all its children."""
    with tempfile.TemporaryDirectory(prefix=f"flowyard-{name}-") as folder:
        log = open(os.path.join(folder, "log"), "wb")
        child = subprocess.Popen(
            [str(part) for part in command],
            env=environment(TMPDIR=folder, HOME=folder, **env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            begun = time.monotonic()
            while not ready():
                if child.poll() is not None or time.monotonic() - begun > 180:
                    raise SystemExit(f"{name} does not start:\n{pathlib.Path(folder, 'log').read_text()[-4000:]}")
                time.sleep(0.1)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            log.close()


@contextlib.contextmanager
def running_prefect():
    """A fresh Prefect server on SQLite, with its default settings; gives its API."""
    venv_folder, port = prefect(), free_port()
    with tempfile.TemporaryDirectory(prefix="flowyard-prefect-home-") as home:
        command = [venv_folder / "bin/prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        api = Prefect(port, pathlib.Path(home))
        with started("prefect", command, api.is_ready, **api.environment()):
            yield api


@contextlib.contextmanager
def running_azurite():
    """A fresh Azurite that keeps everything in memory; gives its account."""
    port = free_port()
    command = [azurite(), "--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    with started("azurite", [*command, "--blobHost", "127.0.0.1", "--blobPort", port], lambda: listens(port)):
        yield Account(port)


@contextlib.contextmanager
def running_registry():
    """A fresh registry, Debian's docker-registry, that lets everybody do everything; gives its name, `127.0.0.1:5000`."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="flowyard-registry-data-") as folder:
        config = pathlib.Path(folder, "config.yml")
        config.write_text(
            f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {folder}/data}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\nlog: {{level: error}}\n"
        )
        command = ["docker-registry", "serve", config]
        with started("registry", command, lambda: listens(port), OTEL_TRACES_EXPORTER="none"):
            yield f"127.0.0.1:{port}"


# As tests/services/dockerd.rs has it: the daemon and all that it mounts and starts ends with its namespaces.
DOCKERD = """
exec unshare --mount --pid --fork --mount-proc --propagation private --kill-child sh -c '
    set -e
    mkdir -p /run/containerd
    mount -t tmpfs tmpfs /run/containerd
    exec dockerd --config-file "$1/daemon.json" --data-root "$1/data" --exec-root /run/containerd/docker \\
        --pidfile "$1/pid" --host "unix://$1/sock" --iptables=false --ip-masq=false --bridge=none
' dockerd "$1"
"""


@contextlib.contextmanager
def running_dockerd():
    """A fresh Docker daemon without any image; gives the environment in which `docker` speaks to it. Needs root."""
    with tempfile.TemporaryDirectory(prefix="flowyard-docker-", ignore_cleanup_errors=True) as folder:
        pathlib.Path(folder, "daemon.json").write_text("{}")
        pathlib.Path(folder, "config").mkdir()
        env = environment(DOCKER_HOST=f"unix://{folder}/sock", DOCKER_CONFIG=f"{folder}/config")

        def answers():
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return subprocess.run(["docker", "version"], env=env, **silent).returncode == 0

        with started("dockerd", ["sh", "-c", DOCKERD, "start", folder], answers):
            yield env
        # The kernel ends the namespaces a moment later.
        for _ in range(50):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(0.1)
        os.makedirs(folder, exist_ok=True)


@contextlib.contextmanager
def running_instant(program: pathlib.Path):
    """Azure Blob Storage and Prefect that answer at once; gives the port of both."""
    child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield int(child.stdout.readline())
    finally:
        child.stdin.close()
        child.wait(timeout=30)


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


class Prefect:
    """The REST API of a server, over one connection that is kept; the bare client of the comparison too."""

    def __init__(self, port: int, home: pathlib.Path):
        self.port, self.home = port, home
        self.connection = None
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def environment(self) -> dict[str, str]:
        return {"PREFECT_HOME": str(self.home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

    def is_ready(self) -> bool:
        try:
            return self.call("GET", "/health", tries=1) is True
        except OSError:
            return False

    def call(self, method: str, path: str, body=None, tries: int = 20):
        """A request and its answer. A 503 and a lost connection are tried again: SQLite lets one write at a time."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        for attempt in range(1, tries + 1):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                    self.connection.connect()
                    self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connection.request(method, f"/api{path}", data, {"Content-Type": "application/json"})
                answer = self.connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.connection = None
                if attempt == tries:
                    raise OSError(f"{method} {path}: {error}") from error
            else:
                if answer.status < 300:
                    return json.loads(text) if text else None
                if answer.status != 503 or attempt == tries:
                    raise SystemExit(f"{method} {path}: {answer.status} {text[:500]!r}")
            self.refused += 1
            time.sleep(0.05 * attempt)
        raise AssertionError("the last try returns or raises")

    def all(self, path: str) -> list[dict]:
        found = {}
        offset = 0
        while page := self.call("POST", path, {"limit": 200, "offset": offset}):
            found |= {one["id"]: one for one in page}
            offset += len(page)
        return list(found.values())

    def deployments(self) -> dict[str, dict]:
        flows = {flow["id"]: flow["name"] for flow in self.all("/flows/filter")}
        return {f"{flows[one['flow_id']]}/{one['name']}": one for one in self.all("/deployments/filter")}

    def clear(self) -> None:
        """Removes every flow, and with it its deployments and runs."""
        for flow in self.all("/flows/filter"):
            self.call("DELETE", f"/flows/{flow['id']}")


class Account:
    """Azurite's account: containers and what is in them."""

    def __init__(self, port: int):
        self.port = port

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"
        )

    def create(self, container: str) -> None:
        self.call("PUT", container, {"restype": "container"}, 201)

    def count(self, container: str) -> int:
        found, marker = 0, ""
        while True:
            query = {"comp": "list", "restype": "container"} | ({"marker": marker} if marker else {})
            text = self.call("GET", container, query, 200)
            found += text.count("<Name>")
            marker = text.partition("<NextMarker>")[2].partition("</NextMarker>")[0]
            if not marker:
                return found

    def call(self, method: str, path: str, query: dict[str, str], expected: int) -> str:
        """A request without a body, signed as Microsoft's "Authorize with Shared Key" describes it."""
        date = email.utils.formatdate(usegmt=True)
        resource = "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
        text = (
            f"{method}{chr(10) * 12}x-ms-date:{date}\nx-ms-version:2021-08-06\n/{ACCOUNT}/{ACCOUNT}/{path}{resource}"
        )
        digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": date,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
            "Content-Length": "0",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, f"/{ACCOUNT}/{path}?{urllib.parse.urlencode(query)}", headers=headers)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        if answer.status != expected:
            raise SystemExit(f"{method} {path}: {answer.status} {said}")
        return said
