"""Our serving image without Docker: its server with the packages of its lock, under the container's contract.

And the packages that go into an archive: downloaded for another Python, imported by this one where they fit.
"""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commandline.polling import poll
from localcloud.environment import host_architecture, host_runtime
from localcloud.service import free_port
from model_build.archive import own_image
from model_build.archive.container_images import SERVING_IMAGES
from model_build.archive.package import DEFAULT_MODEL, package_model
from model_build.archive.serving_packages import Target, packages_for
from model_build.data.extract import extract
from model_build.data.samples import write_samples
from tests.support.serving import RHYTHM, START_SECONDS, ask, check_answers, pings
from tests.support.tiny_model import with_code, write_model

HERE = Target(host_runtime().removeprefix("python"), host_architecture())


class Container:
    """A process that sees the image's /opt/serving and /opt/ml/model, and nothing of this project."""

    def __init__(self, image: Path, model_dir: Path) -> None:
        self.port = free_port("127.0.0.1", 0)
        self.process = subprocess.Popen(
            # -s, -P: neither the user's packages nor this folder are on the import path, as in the container.
            [sys.executable, "-s", "-P", "-S", str(image / "server.py"), "serve"],
            cwd="/",
            env={
                "PYTHONPATH": str(image / "packages"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "ORT_DISABLE_TELEMETRY": "1",
                "HOME": "/nonexistent",
                "SM_MODEL_DIR": str(model_dir),
                "SAGEMAKER_BIND_TO_PORT": str(self.port),
                "MODEL_VERSION": "scones-1",
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_until_healthy(self) -> bool:
        """Ask for /ping, as SageMaker does; return whether it was answered before the process ended."""

        def known() -> bool:
            return self.process.poll() is not None or pings(self.port)

        poll(known, until=bool, timeout_seconds=START_SECONDS, rhythm=RHYTHM)
        return self.process.poll() is None

    def stop(self) -> tuple[int, str]:
        """Stop it as Docker does, if it runs; return its exit code and its log."""
        self.process.send_signal(signal.SIGTERM)
        log, _ = self.process.communicate(timeout=30)
        return self.process.returncode, log


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    own_image.write_context(HERE, folder)
    return folder


@contextlib.contextmanager
def container(image: Path, model_dir: Path) -> Iterator[Container]:
    running = Container(image, model_dir)
    with running.process:
        try:
            yield running
        finally:
            running.process.kill()


def unpacked(model: Path, folder: Path) -> Path:
    """Return what SageMaker unpacks an archive of the model to."""
    extract(package_model(model, folder / "model.tar.gz"), folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def shipped(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with container(image, unpacked(DEFAULT_MODEL, tmp_path_factory.mktemp("shipped"))) as running:
        assert running.wait_until_healthy()
        yield running


def test_answers_are_those_of_predict(
    shipped: Container, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_answers(shipped.port, write_samples(tmp_path / "samples")[:6], capsys)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        (b"this is no image", "image/png", 400, "not a readable image"),
        (b"", "image/png", 400, "no body"),
        (b"{}", "text/csv", 415, "not supported"),
        (b"x" * 6_291_457, "image/png", 413, "6291456"),
    ],
)
def test_what_the_caller_did_wrong_is_a_4xx(
    shipped: Container, body: bytes, content_type: str, status: int, says: str
) -> None:
    answered, text, _ = ask(shipped.port, "POST", "/invocations", body, content_type)
    assert answered == status
    assert says in json.loads(text)["error"]


def test_other_paths_and_methods_are_refused(shipped: Container) -> None:
    assert ask(shipped.port, "GET", "/")[0] == 404
    assert ask(shipped.port, "GET", "/invocations")[0] == 405


def test_sigterm_ends_it_at_once(image: Path, tmp_path: Path) -> None:
    with container(image, unpacked(write_model(tmp_path / "made", ["red", "blue"]), tmp_path)) as running:
        assert running.wait_until_healthy()
        code, log = running.stop()
    assert code in {0, -signal.SIGTERM}
    assert "model loaded" in log


def test_a_model_that_cannot_be_loaded_ends_the_container_with_the_reason(
    image: Path, tmp_path: Path
) -> None:
    model_dir = unpacked(write_model(tmp_path / "made", ["red", "blue"]), tmp_path)
    (model_dir / "model.onnx").write_bytes(b"this is no network")
    with container(image, model_dir) as running:
        assert not running.wait_until_healthy()
        code, log = running.stop()
    assert code != 0
    assert "onnxruntime" in log


def test_a_failure_of_the_model_is_a_500_whose_log_has_no_photo(image: Path, tmp_path: Path) -> None:
    code = (
        "def model_fn(folder): return None\n"
        "def input_fn(body, content_type): return body\n"
        "def predict_fn(data, model): raise RuntimeError('out of order')\n"
        "def output_fn(prediction, accept): return '[]'\n"
    )
    model = with_code(write_model(tmp_path / "made", ["red", "blue"]), code)
    with container(image, unpacked(model, tmp_path)) as running:
        assert running.wait_until_healthy()
        status, body, attributes = ask(running.port, "POST", "/invocations", b"a photo", "image/png")
        _, log = running.stop()

    assert (status, attributes) == (500, "")
    assert json.loads(body) == {"error": "RuntimeError: out of order"}
    assert "out of order" in log
    assert "a photo" not in log


def test_packages_in_an_archive_are_all_that_the_handlers_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_build.archive.package.COMPRESSION", 1)  # a third of the time
    archive = package_model(write_model(tmp_path / "made", ["red", "blue"]), tmp_path / "a.tar.gz", HERE)
    extract(archive, tmp_path / "model")
    code = (
        "import sys, pathlib; sys.path.insert(0, 'code');"
        "from bundled_packages import use_bundled_packages; use_bundled_packages(pathlib.Path('code'));"
        "import inference; model = inference.model_fn('.');"
        "from PIL import Image; print(inference.predict_fn(Image.new('RGB', (32, 32), (220, 30, 30)), model))"
    )

    # Nothing but the standard library and the archive's code is on the import path.
    command = [sys.executable, "-s", "-P", "-S", "-c", code]
    done = subprocess.run(command, cwd=tmp_path / "model", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    red, blue = json.loads(done.stdout)
    assert red > 0.99
    assert red + blue == pytest.approx(1)


def test_packages_for_an_image_have_modules_of_its_python() -> None:
    target: Any = SERVING_IMAGES["ray"].packages
    modules = [path.name for path in packages_for(target).rglob("*.so") if ".cpython-" in path.name]
    assert modules
    assert {module.split(".")[1].split("-")[1] for module in modules} == {target.python.replace(".", "")}
