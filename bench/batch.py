"""What is measured on a local cloud: how a batch grows with its photos, and what the workflow adds."""

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3

from bench.cases import phone_photo
from bench.parameters import ROOT
from bench.runtime import Memory, on_the_runtime
from bench.timing import Result
from bench.workflow import through_the_workflow
from model_build.data.drawings import FIRST_TEST_SEED, draw

BUCKET = "scones-photos"
ALONE = 31  # photos sent one by one, the first to warm up
THUMBNAIL = 32  # pixels, as CIFAR-100 has


@dataclass(frozen=True)
class Growth:
    """One batch.

    Attributes:
        photos: photos in it.
        seconds: from the start of the command to its summary.
        memory_mb: resident memory afterwards, of ministack, the SageMaker stand-in, model, functions.
    """

    photos: int
    seconds: float
    memory_mb: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class OnALocalCloud:
    """What was measured there.

    Attributes:
        results: of the functions and the workflow.
        memory: of the functions.
        batches: one for each size.
    """

    results: list[Result]
    memory: list[Memory]
    batches: list[Growth]


def on_a_local_cloud(sizes: Sequence[int], rounds: int, tick: Callable[[], object]) -> OnALocalCloud:
    """Measure the functions, the workflow, and a batch of each size, after a small one that warms up.

    Args:
        sizes: photos of each batch.
        rounds: how often each function is started anew.
        tick: called after each of these rounds, and each batch.
    """
    with tempfile.TemporaryDirectory() as folder, _local_cloud(Path(folder)) as environment:
        photo = {"s3_bucket": BUCKET, "s3_key": "incoming/phone.jpg"}
        body = phone_photo("JPEG", quality=90)
        _client("s3", environment).put_object(Bucket=BUCKET, Key=photo["s3_key"], Body=body)
        results, memory = on_the_runtime(environment, photo, rounds, tick)
        photos = _upload(environment, "incoming/alone/", 2 * ALONE)
        workflow = through_the_workflow(lambda name: _client(name, environment), environment, photos)
        _batch(environment, "incoming/warm/", 50)
        grown = []
        for size in sizes:
            seconds = _batch(environment, f"incoming/{size}/", size)
            grown.append(Growth(size, seconds, _memory(folder)))
            tick()
        return OnALocalCloud([*results, workflow], memory, grown)


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
    return session.client(service, endpoint_url=environment["AWS_ENDPOINT_URL"])  # type: ignore[call-overload]


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
