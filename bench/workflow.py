"""What the workflow adds: one photo through it, against its three handlers called one after the other."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.parameters import ROOT, function_environments
from bench.timing import Result, compared

_ASK_S = 0.005
# In a process of its own, as a function is: its imports and its environment are not the benchmark's.
_HANDLERS = """
import importlib, json, sys, time

def handler(folder):  # the functions' modules have the same names
    before = set(sys.modules)
    sys.path.insert(0, f"functions/{folder}")
    app = importlib.import_module("app")
    for name in set(sys.modules) - before:
        if f"functions/{folder}/" in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    sys.path.pop(0)
    return app.lambda_handler

handlers = [handler(folder) for folder in ("serialize_image", "classify_image", "filter_inference")]
times = []
for key, version in json.load(sys.stdin):
    begun = time.perf_counter()
    event = {"s3_bucket": "scones-photos", "s3_key": key, "version_id": version}
    for one in handlers:
        event = one(event, None)
    times.append(time.perf_counter() - begun)
print(json.dumps(times))
"""


def through_the_workflow(
    client: Callable[[str], Any], environment: dict[str, str], photos: list[tuple[str, str]]
) -> Result:
    """Send photos through the workflow one after the other, then through the handlers alone.

    Args:
        client: makes a boto3 client of a local cloud's service.
        environment: leads to that local cloud.
        photos: keys and versions of uploaded photos without an outcome; the first of each way warms up.
    """
    half = len(photos) // 2
    workflow = [_execute(client("stepfunctions"), key, version) for key, version in photos[:half]][1:]
    functions = function_environments()
    variables = {name: value for one in functions.values() for name, value in one.items()}
    done = subprocess.run(
        [sys.executable, "-c", _HANDLERS],
        cwd=ROOT,
        env={**variables, **environment},
        input=json.dumps(photos[half:]),
        check=True,
        capture_output=True,
        text=True,
    )
    handlers = json.loads(done.stdout)[1:]
    return compared(
        "one thumbnail through the workflow", workflow, "the three handlers in one process", handlers
    )


def _execute(workflow: Any, key: str, version: str) -> float:
    """Start an execution and return the seconds until it has ended."""
    machines = workflow.list_state_machines()["stateMachines"]
    arn = next(one["stateMachineArn"] for one in machines if "ClassifyImage" in one["name"])
    photo = {"s3_bucket": "scones-photos", "s3_key": key, "version_id": version}
    begun = time.perf_counter()
    execution = workflow.start_execution(stateMachineArn=arn, input=json.dumps(photo))["executionArn"]
    while workflow.describe_execution(executionArn=execution)["status"] == "RUNNING":
        time.sleep(_ASK_S)
    return time.perf_counter() - begun
