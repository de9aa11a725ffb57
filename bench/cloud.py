"""On a local cloud: the functions on AWS's Lambda runtime emulator, the workflow, and how a batch grows."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.cases import Result, Tick, compared, encoded, phone_photo, seconds
from localcloud.environment import aws_variables
from model_build.data.drawings import FIRST_TEST_SEED, draw
from tests.support.lambda_runtime import LambdaRuntime, lambda_runtime
from tests.support.local_cloud import LocalCloud, deployed_cloud, without_rule
from tests.support.sam_app import ROOT

ALONE: Final = 31  # photos sent one by one, the first to warm up
THUMBNAIL: Final = 32  # pixels, as CIFAR-100 has
WARM: Final = 5  # events that each new process of a function answers after its first
LEAST: Final = "filter_inference"  # imports neither boto3 nor Pillow: the reference of the other functions


def on_a_local_cloud(
    sizes: Sequence[int], rounds: int, tick: Tick
) -> tuple[list[Result], dict[str, float], list[dict[str, Any]]]:
    """Return results of functions and workflow, the functions' peaks in MB, and a batch of each size."""
    with tempfile.TemporaryDirectory() as folder, deployed_cloud(Path(folder)) as cloud, without_rule(cloud):
        cloud.upload("incoming/phone.jpg", phone_photo("JPEG", quality=90))
        results, peaks = _functions(cloud, "incoming/phone.jpg", rounds, tick)
        results.append(_workflow(cloud))
        _batch(cloud, "incoming/warm/", 50)
        batches = []
        for size in sizes:
            spent = _batch(cloud, f"incoming/{size}/", size)
            batches.append({"photos": size, "seconds": spent, "memory_mb": _memory(folder)})
            tick()
        return results, peaks, batches


def _functions(cloud: LocalCloud, key: str, rounds: int, tick: Tick) -> tuple[list[Result], dict[str, float]]:
    """Start each function anew `rounds` times, in turns; the smallest is the others' reference."""
    photo = {"s3_bucket": cloud.outputs["PhotoBucketName"], "s3_key": key}
    events: dict[str, dict[str, Any]] = {
        "serialize_image": photo,
        "classify_image": {},
        LEAST: {**photo, "inferences": [0.98, 0.02]},
    }
    cold, warm, peaks = ({name: list[float]() for name in events} for _ in range(3))
    for _ in range(rounds):
        for name, event in events.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                lambda_runtime(name, aws_variables(cloud.running), Path(folder) / "log") as invoke,
            ):
                answered = partial(_answer, invoke, event)
                cold[name].append(seconds(answered))
                warm[name] += [seconds(answered) for _ in range(WARM)]
                peaks[name].append(invoke.peak_memory_mb())
                if name == "serialize_image":
                    events["classify_image"] = answered()
        tick()
    results = [
        compared(f"{name}, {title}", times[name], LEAST, times[LEAST])
        for name in ("serialize_image", "classify_image")
        for title, times in (("cold start on AWS's runtime emulator", cold), ("warm", warm))
    ]
    return results, {f"{name}, peak memory": round(max(some), 1) for name, some in peaks.items()}


def _answer(invoke: LambdaRuntime, event: dict[str, Any]) -> dict[str, Any]:
    answer = invoke(event)
    if "errorType" in answer:
        raise RuntimeError(f"the function failed: {answer}")
    return answer


def _workflow(cloud: LocalCloud) -> Result:
    """Send thumbnails through the workflow, and each to the endpoint alone; the first of each warms up."""
    workflow, runtime = cloud.client("stepfunctions"), cloud.client("sagemaker-runtime")
    bucket, arn = cloud.outputs["PhotoBucketName"], cloud.outputs["ClassifyImageStateMachineArn"]

    def execute(key: str, version: str) -> None:
        photo = json.dumps({"s3_bucket": bucket, "s3_key": key, "version_id": version})
        execution = workflow.start_execution(stateMachineArn=arn, input=photo)["executionArn"]
        while workflow.describe_execution(executionArn=execution)["status"] == "RUNNING":
            time.sleep(0.005)

    def ask(number: int) -> None:
        endpoint = cloud.running.endpoint
        runtime.invoke_endpoint(EndpointName=endpoint, ContentType="image/png", Body=_png(number))

    photos = _upload(cloud, "incoming/alone/", ALONE)
    through = [seconds(partial(execute, *one)) for one in photos][1:]
    alone = [seconds(partial(ask, number)) for number in range(ALONE)][1:]
    return compared("one thumbnail through the workflow", through, "the endpoint's answer for it", alone)


def _batch(cloud: LocalCloud, prefix: str, count: int) -> float:
    """Upload thumbnails and classify them in a batch; return its seconds."""
    _upload(cloud, prefix, count)
    command = [sys.executable, "-m", "operations", "batch", "--prefix", prefix, "--json"]
    variables = {**os.environ, **aws_variables(cloud.running)}
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True)
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    if summary["classified"] != count:
        raise RuntimeError(f"{summary['classified']} of {count} photos were classified")
    return float(summary["seconds"])


def _upload(cloud: LocalCloud, prefix: str, count: int) -> list[tuple[str, str]]:
    """Upload thumbnails; return their keys and versions."""
    bodies = [_png(seed) for seed in range(20)]

    def put(number: int) -> tuple[str, str]:
        key = f"{prefix}{number:06}.png"
        return key, cloud.upload(key, bodies[number % len(bodies)])

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(put, range(count)))


def _png(seed: int) -> bytes:
    kind = ("bicycle", "motorcycle")[seed % 2]
    return encoded(draw(kind, FIRST_TEST_SEED + seed, (THUMBNAIL, THUMBNAIL)), "PNG")


def _memory(state: str) -> dict[str, float]:
    """Return the resident memory of a local cloud's processes, in MB; that of the functions together."""
    shown = ["ps", "-axww", "-o", "rss,command"]
    listed = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
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
