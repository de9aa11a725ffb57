"""The SageMaker emulator with S3 and CloudWatch Logs, for tests that deploy models.

S3 and Logs are moto's server in this process; the emulator is a process of its own, as in the local cloud.
"""

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from commandline.polling import Rhythm, poll

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
BUCKET = "scones-models"
ROLE = "arn:aws:iam::123456789012:role/scones-model"
SERVICES = ("SAGEMAKER", "SAGEMAKER_RUNTIME", "APPLICATION_AUTO_SCALING")


@contextlib.contextmanager
def sagemaker_emulator(folder: Path) -> Iterator[dict[str, str]]:
    """Start both, with a bucket for models; yield the environment variables that point to them."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, moto_port = moto.get_host_and_port()
    port = _free_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{moto_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    } | {f"AWS_ENDPOINT_URL_{service}": f"http://127.0.0.1:{port}" for service in SERVICES}
    command = [sys.executable, "-m", "localcloud.sagemaker", "--port", str(port), "--folder", str(folder)]
    log_file = folder / "emulator.log"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **variables},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        with process:
            try:
                _wait_until_up(f"http://127.0.0.1:{port}/health", process, log_file)
                _s3(variables).create_bucket(Bucket=BUCKET)
                yield variables
            finally:
                process.terminate()
    finally:
        moto.stop()


def _s3(variables: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - there is no secret
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the emulator did not come up:\n{log_file.read_text(errors='replace')}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return True
        return False

    poll(answers, until=bool, timeout_seconds=30, rhythm=Rhythm(shortest_pause=0.1))
