"""What is measured on a local cloud: how a batch grows with its photos, and what the workflow adds."""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from bench.cases import phone_photo
from bench.runtime import on_the_runtime
from bench.timing import Result, compared, seconds
from model_build.data.drawings import FIRST_TEST_SEED, draw
from tests.support.sam_app import ROOT

BUCKET = "scones-photos"
ENDPOINT = "scones-vehicle-classifier"
ALONE = 31  # photos sent one by one, the first to warm up
THUMBNAIL = 32  # pixels, as CIFAR-100 has


@dataclass(frozen=True)
class OnALocalCloud:
    """What was measured there: functions and workflow, peaks of memory in MB, and the batches."""

    results: list[Result]
    peak_mb: dict[str, float]
    batches: list[dict[str, Any]]


def on_a_local_cloud(sizes: Sequence[int], rounds: int, tick: Callable[[], object]) -> OnALocalCloud:
    """Measure the functions, the workflow, and a batch of each size, after a small one that warms up.

    `tick` is called after each of the `rounds` in which the functions are started anew, and after each batch.
    """
    with tempfile.TemporaryDirectory() as folder, _local_cloud(Path(folder)) as environment:
        photo = {"s3_bucket": BUCKET, "s3_key": "incoming/phone.jpg"}
        body = phone_photo("JPEG", quality=90)
        _client("s3", environment).put_object(Bucket=BUCKET, Key=photo["s3_key"], Body=body)
        results, peaks = on_the_runtime(environment, photo, rounds, tick)
        results.append(_workflow(environment))
        _batch(environment, "incoming/warm/", 50)
        grown = []
        for size in sizes:
            spent = _batch(environment, f"incoming/{size}/", size)
            grown.append({"photos": size, "seconds": spent, "memory_mb": _memory(folder)})
            tick()
        return OnALocalCloud(results, peaks, grown)


def _workflow(environment: dict[str, str]) -> Result:
    """Send thumbnails through the workflow, and each to the endpoint alone; the first of each warms up."""
    workflow = _client("stepfunctions", environment)
    machines = workflow.list_state_machines()["stateMachines"]
    arn = next(one["stateMachineArn"] for one in machines if "ClassifyImageStateMachine" in one["name"])
    runtime = _client("sagemaker-runtime", environment)

    def execute(key: str, version: str) -> None:
        photo = json.dumps({"s3_bucket": BUCKET, "s3_key": key, "version_id": version})
        execution = workflow.start_execution(stateMachineArn=arn, input=photo)["executionArn"]
        while workflow.describe_execution(executionArn=execution)["status"] == "RUNNING":
            time.sleep(0.005)

    def ask(number: int) -> None:
        runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType="image/png", Body=_png(number))

    photos = _upload(environment, "incoming/alone/", ALONE)
    through = [seconds(partial(execute, *one)) for one in photos][1:]
    alone = [seconds(partial(ask, number)) for number in range(ALONE)][1:]
    return compared("one thumbnail through the workflow", through, "the endpoint's answer for it", alone)


@contextmanager
def _local_cloud(state: Path) -> Iterator[dict[str, str]]:
    """Run a local cloud; yields the environment that leads to it, with the upload rule off."""
    command = [sys.executable, "-m", "localcloud"]
    options = ["--state", str(state)]
    subprocess.run([*command, "up", *options], cwd=ROOT, check=True, capture_output=True)
    try:
        script = f". {state}/env.sh && env -0"
        listed = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout
        environment = dict(entry.split("=", 1) for entry in listed.split("\0") if "=" in entry)
        events = _client("events", environment)
        for rule in events.list_rules()["Rules"]:
            if "PhotoUploaded" in rule["Name"]:
                events.disable_rule(Name=rule["Name"])
        yield environment
    finally:
        subprocess.run([*command, "down", *options], cwd=ROOT, check=False, capture_output=True)


def _client(service: str, environment: dict[str, str]) -> Any:
    session = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
    )
    own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
    url = environment.get(own, environment["AWS_ENDPOINT_URL"])
    return session.client(service, endpoint_url=url)  # type: ignore[call-overload]


def _batch(environment: dict[str, str], prefix: str, count: int) -> float:
    """Upload thumbnails and classify them in a batch; return its seconds."""
    _upload(environment, prefix, count)
    command = [sys.executable, "-m", "operations", "batch", "--prefix", prefix, "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    if summary["classified"] != count:
        raise RuntimeError(f"{summary['classified']} of {count} photos were classified")
    return float(summary["seconds"])


def _upload(environment: dict[str, str], prefix: str, count: int) -> list[tuple[str, str]]:
    """Upload thumbnails; return their keys and versions."""
    s3 = _client("s3", environment)
    bodies = [_png(seed) for seed in range(20)]

    def put(number: int) -> tuple[str, str]:
        key, body = f"{prefix}{number:06}.png", bodies[number % len(bodies)]
        return key, s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(put, range(count)))


def _png(seed: int) -> bytes:
    buffer = io.BytesIO()
    draw(("bicycle", "motorcycle")[seed % 2], FIRST_TEST_SEED + seed, (THUMBNAIL, THUMBNAIL)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def _memory(state: str) -> dict[str, float]:
    """Return the resident memory of a local cloud's processes, in MB; that of the functions together."""
    listed = subprocess.run(
        ["ps", "-axww", "-o", "rss,command"], check=True, capture_output=True, text=True
    ).stdout
    parts = {
        "ministack": "localcloud.ministack",
        "stand-in": "localcloud.sagemaker",
        "model": "sagemaker/worker.py",
        "functions": "ministack-lambda",
    }
    found = dict.fromkeys(parts, 0.0)
    for line in listed.splitlines()[1:]:
        size, command = line.split(None, 1)
        for name, text in parts.items():
            if text in command and state in command:
                found[name] += int(size) / 1024
    return {name: round(size, 1) for name, size in found.items()}
