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

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from commandline.polling import Rhythm, poll
from tests.support.serving_image import provide_own_image

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
                session = boto3.Session("test", "test", region_name=REGION)
                endpoint = variables["AWS_ENDPOINT_URL"]
                session.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
                provide_own_image(session.client("ecr", endpoint_url=endpoint))
                yield variables
            finally:
                process.terminate()
    finally:
        moto.stop()


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
