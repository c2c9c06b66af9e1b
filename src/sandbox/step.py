"""Runs one step with Prefect's own runner of steps: the request on stdin, the answer after the token on stdout."""

import asyncio
import json
import os
import sys
import traceback


def main():
    request = json.load(sys.stdin)
    # What the step and its children print belongs to the log, not to the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.path.append(request["folder"])
    try:
        from prefect.deployments.steps.core import run_step

        output = asyncio.run(run_step({request["step"]: request["inputs"]}))
        result = {"output": json.loads(json.dumps(output))}
    except BaseException as error:
        traceback.print_exc()
        while error.__cause__ is not None:
            error = error.__cause__
        result = {"error": traceback.format_exception_only(type(error), error)[-1].strip()}
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write("\n" + request["token"] + json.dumps(result) + "\n")


main()
