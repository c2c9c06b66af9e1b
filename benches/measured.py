"""Measuring one process, and the tables that come of it."""

import dataclasses
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "benches"

# Settings of whoever runs this must not reach what is measured; and with RUST_BACKTRACE the Azure SDK takes a backtrace
# with every error, such as each "not found".
FOREIGN = ("RUST_BACKTRACE", "PREFECT_", "FLOWYARD_", "AZURE_", "AWS_", "GOOGLE_", "GITHUB_")


@dataclasses.dataclass
class Run:
    """What one process took: seconds of the clock, seconds of all cores, and the peak of its memory in bytes."""

    wall: float
    cpu: float
    memory: int
    output: str


def environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return own | {name: str(value) for name, value in more.items()}


def run(command, *, env=None, cwd=None, limit=900) -> Run:
    """Runs a command to its end; anything but success is an error.

    The kernel counts the memory of the process before it became the command too, so that what is told is never below
    this script's own 15 to 30 MB.
    """
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            env=env or environment(),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        alarm = threading.Timer(limit, os.kill, (child.pid, signal.SIGKILL))
        alarm.start()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        alarm.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read().decode(errors="replace")
    if child.returncode != 0:
        raise SystemExit(f"{command}: exit code {child.returncode}\n{output[-4000:]}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, output)


def median(values) -> float:
    return statistics.median(values)


def seconds(values) -> str:
    """The median, and between what."""
    values = list(values)
    form = (lambda v: f"{v * 1000:.1f} ms") if median(values) < 0.1 else (lambda v: f"{v:.2f} s")
    if len(values) == 1:
        return form(values[0])
    return f"{form(median(values))} ({form(min(values))} to {form(max(values))})"


def megabytes(values) -> str:
    return f"{max(values) / 1e6:.0f} MB"


def table(head, rows) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def verdict(claim: str, holds: bool, seen: str) -> None:
    print(f"- {'holds' if holds else '**MISSED**'}: {claim}: {seen}", flush=True)


def surroundings() -> str:
    """The machine, the date and how busy it was when the measuring began."""
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')} UTC, {os.cpu_count()} cores of {model}, {memory:.0f} GB, "
        f"Linux {platform.release()}, Python {platform.python_version()}, load {load()}"
    )


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())
