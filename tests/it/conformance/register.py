"""Runs Python files as `python FILE` does, and lets `serve` end once it has registered.

One line of JSON on standard input for each file: its path, the folder that it runs in, the root of its repository, and
variables of its environment. One line back: null, or what it printed before it failed. Prefect is imported once, and each
file runs in a process forked from here, so that nothing of one is known to the next.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback

import prefect.deployments
import prefect.flows  # noqa: F401
from prefect import runner


async def registered(self, *_, **__):
    """What `Runner.start` does here: everything is registered by then."""


async def uploaded(self, *_, **__):
    """What Prefect 2's `Deployment.upload_to_storage` does here: there is no storage behind the blocks."""


runner.Runner.start = registered
# Asking Prefect 3 for the attribute is an error of its own.
if prefect.__version__.startswith("2."):
    prefect.deployments.Deployment.upload_to_storage = uploaded


def run(job, log):
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    os.chdir(job["folder"])
    os.environ.update(job["env"])
    # The folder of the script, as Python has it, and what `PYTHONPATH=.` in the root adds.
    sys.path[0] = os.path.dirname(job["file"])
    sys.path.insert(1, job["root"])
    sys.argv = [job["file"]]
    sys.dont_write_bytecode = True
    code = 1
    try:
        runpy.run_path(job["file"], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = 0 if end.code in (None, 0) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as log:
        child = os.fork()
        if child == 0:
            run(json.loads(line), log)
        _, status = os.waitpid(child, 0)
        log.seek(0)
        print(json.dumps(log.read()[-1500:] if status else None), flush=True)
