"""The serving contract of the Ray Serve image: Ray runs our config.yaml and answers over HTTP."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.support.tiny_model import picture

START_SECONDS = 150
WATCH_SECONDS = 5


class RayServe:
    """`serve run config.yaml`, as the image's entry point runs it, on a port of its own."""

    def __init__(self, model_dir: Path, log_file: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.log_file, self.attributes = log_file, ""
        config = yaml.safe_load((model_dir / "config.yaml").read_text(encoding="utf-8"))
        config["http_options"] = {"host": "127.0.0.1", "port": int(self.url.rsplit(":", 1)[1])}
        (model_dir / "config-here.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        # Ray puts sockets there, whose paths must be short.
        self._scratch = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("serve"), "run", "config-here.yaml"],
                cwd=model_dir,
                env={
                    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                    "HOME": self._scratch,
                    "PYTHONPATH": str(model_dir),  # as the image's entry point sets it
                    "OMP_NUM_THREADS": "1",
                    "RAY_ADDRESS": "local",
                    "RAY_TMPDIR": self._scratch,
                    "RAY_USAGE_STATS_ENABLED": "0",
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_healthy(self, seconds: float = START_SECONDS) -> bool:
        """Do what SageMaker does before it sends traffic: ask until it gets a 200, or give up."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "/-/healthz", timeout=5):
                return True
            time.sleep(0.5)
        return False

    def wait_for_log(self, text: str) -> bool:
        """Wait until Ray has written something, and return whether it did."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if text in self.log_file.read_text(errors="replace"):
                return True
            time.sleep(0.5)
        return False

    def ask(self, body: bytes, content_type: str) -> tuple[int, object]:
        """Status and JSON answer of one invocation; `attributes` is then the header that it had."""
        request = urllib.request.Request(self.url, body, {"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.attributes = answer.headers["X-Amzn-SageMaker-Custom-Attributes"]
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def stop(self) -> None:
        """End Ray and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)


@contextlib.contextmanager
def ray_serve(model_dir: Path, log_file: Path) -> Iterator[RayServe]:
    server = RayServe(model_dir, log_file)
    try:
        yield server
    finally:
        server.stop()


def encoded(colour: str, kind: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture(colour)).save(content, kind)
    return content.getvalue()


def is_mapped(folder: Path) -> bool:
    """Return whether a process has loaded a library from below a folder."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            if f"{folder}/" in maps.read_text(errors="replace"):
                return True
    return False


def test_ray_serve_answers_images_and_tells_bad_ones(model_dir: Path, tmp_path: Path) -> None:
    # One test for all answers: starting Ray takes a quarter of a minute.
    with ray_serve(model_dir, tmp_path / "ray.log") as server:
        assert server.wait_until_healthy(), server.log_file.read_text(errors="replace")

        for kind, content_type in (
            ("PNG", "image/png"),
            ("JPEG", "image/jpeg"),
            ("PNG", "application/x-image"),
        ):
            status, probabilities = server.ask(encoded("blue", kind), content_type)
            assert status == 200
            assert isinstance(probabilities, list)
            assert sum(probabilities) == pytest.approx(1)
            assert probabilities[1] > 0.99
            assert server.attributes == "labels=red,blue", "AWS's adapter forwards this header since v1.2.0"
        # Only now: the proxy is healthy as soon as it knows the route, before a replica has the model.
        assert is_mapped(model_dir / "code" / "packages"), "Ray's replica must use the archive's packages"

        status, answer = server.ask(b"this is no image", "image/png")
        assert status == 400
        assert "image" in str(answer)
        assert server.ask(encoded("red", "PNG"), "text/csv")[0] == 415


def test_ray_serve_with_a_broken_model_never_gets_healthy(model_dir: Path, tmp_path: Path) -> None:
    (model_dir / "model.onnx").write_bytes(b"this is no network")

    with ray_serve(model_dir, tmp_path / "ray.log") as server:
        assert server.wait_for_log("Exception importing application")
        assert not server.wait_until_healthy(WATCH_SECONDS)

        assert server.wait_for_log("onnxruntime"), "the container's log says what is broken"
