"""Our serving image in Docker: read-only, as any user, without /dev/shm, it answers what `predict` answers.

Its base here is Lambda's image for Python 3.11, which `make test-docker` needs anyway.
"""

import base64
import hashlib
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlparse

import boto3
import pytest

from commandline.polling import poll
from model_build.archive import own_image
from model_build.archive.package import DEFAULT_MODEL, package_model
from model_build.data.extract import extract
from model_build.data.samples import write_samples
from tests.support.sam_app import ROOT
from tests.support.sam_local import IMAGE as BASE_IMAGE
from tests.support.serving import RHYTHM, START_SECONDS, check_answers, pings

LARGEST_REQUEST = 6_291_456  # bytes, to a real-time endpoint
BUILD = ("image", "build", "--base-image", BASE_IMAGE)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def docker(*arguments: str) -> str:
    done = run("docker", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image(docker: None) -> str:  # noqa: ARG001
    """Build it with the command, and return its name."""
    done = run(sys.executable, "-m", "model_build", *BUILD, "--python", "3.11", "--json")
    assert done.returncode == 0, done.stderr
    name: str = json.loads(done.stdout)["image"]
    return name


@dataclass(frozen=True)
class Container:
    """A running container, its port on this machine, and the seconds until its first answer."""

    identifier: str
    port: int
    seconds: float


@pytest.fixture(scope="session")
def container(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Start it as strictly as SageMaker may: nothing but the model can be read, and nothing written."""
    folder = tmp_path_factory.mktemp("opt-ml")
    extract(package_model(DEFAULT_MODEL, folder / "model.tar.gz"), folder / "model")
    for path in (folder, folder.parent, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    started = time.monotonic()
    identifier = docker(
        *("run", "--detach", "--read-only", "--ipc", "none", "--user", "4321:4321", "--cap-drop", "ALL"),
        *("--publish", "127.0.0.1::8080", "--volume", f"{folder / 'model'}:/opt/ml/model:ro"),
        *("--env", "MODEL_VERSION=scones-1", image, "serve"),
    )
    try:
        port = int(docker("port", identifier, "8080/tcp").rsplit(":", 1)[1])
        poll(lambda: pings(port), until=bool, timeout_seconds=START_SECONDS, rhythm=RHYTHM)
        yield Container(identifier, port, time.monotonic() - started)
    finally:
        print(run("docker", "logs", identifier).stderr)
        run("docker", "rm", "--force", identifier)


def test_answers_are_those_of_predict(
    container: Container, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = write_samples(tmp_path / "samples")
    photos = [path for path in samples if path.stat().st_size <= LARGEST_REQUEST]
    assert check_answers(container.port, photos, capsys) >= 5


def test_it_runs_under_the_strict_conditions(container: Container) -> None:
    inside = (
        "import os; print(os.getuid(), os.path.exists('/dev/shm'), os.access('/', os.W_OK),"
        " os.access('/tmp', os.W_OK))"
    )
    assert docker("exec", container.identifier, "python3", "-c", inside) == "4321 False False False"


def test_size_and_start(container: Container, image: str) -> None:
    sizes = {
        name: int(docker("image", "inspect", name, "--format", "{{.Size}}")) for name in (image, BASE_IMAGE)
    }
    own = (sizes[image] - sizes[BASE_IMAGE]) / 1e6
    print(f"\n{own:.0f} MB on top of the base image; {container.seconds:.1f} s from start to first answer")
    # The packages are most of it; a second copy of one, or a compiler, would be noticed.
    assert own < 200


class Registry(http.server.ThreadingHTTPServer):
    """Docker's registry API, as far as pushing needs it.

    `manifests` are (media type, document) by tag and digest, `blobs` sizes: a blob's parts add up to it.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.manifests: dict[str, tuple[str, dict[str, Any]]] = {}
        self.blobs: dict[str, int] = {}
        self.host = f"127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        """Listen until the block ends."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        kind, name = self.path.split("/")[-2:]
        if self.path == "/v2/":
            self._answer(200)
        elif kind == "blobs" and name in self.server.blobs:
            self._answer(200, **{"Content-Length": str(self.server.blobs[name])})
        elif kind == "manifests" and name in self.server.manifests:
            self._answer(200)
        else:
            self._answer(404)

    do_HEAD = do_GET  # noqa: N815 - the base class looks for this name

    def do_POST(self) -> None:
        self._body()
        self._answer(202, Location=f"http://{self.server.host}{self.path.rstrip('/')}/{id(self)}?size=0")

    def do_PATCH(self) -> None:
        size = self._size() + len(self._body())
        path = urlparse(self.path).path
        place = f"http://{self.server.host}{path}?size={size}"
        self._answer(202, Location=place, Range=f"0-{size - 1}")

    def do_PUT(self) -> None:
        size, body = self._size(), self._body()
        if "/manifests/" in self.path:
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            manifest = self.headers["Content-Type"], json.loads(body)
            self.server.manifests |= {self.path.rpartition("/")[2]: manifest, digest: manifest}
        else:
            digest = parse_qs(urlparse(self.path).query)["digest"][0]
            self.server.blobs[digest] = size + len(body)
        self._answer(201, **{"Docker-Content-Digest": digest})

    def _size(self) -> int:
        return int(parse_qs(urlparse(self.path).query).get("size", ["0"])[0])

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while length := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, **headers: str) -> None:
        usual = {"Docker-Distribution-Api-Version": "registry/2.0", "Content-Length": "0"}
        self.send_response(status)
        for name, value in (usual | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


class Ecr:
    """A session whose only service is ECR, with the manifests of a registry."""

    def __init__(self, registry: Registry) -> None:
        self.exceptions = boto3.client("ecr", "us-east-1").exceptions
        self._registry = registry

    def client(self, _: str) -> Self:
        """Return the only service."""
        return self

    def get_authorization_token(self) -> dict[str, Any]:
        """Return a password that any registry takes that asks for none."""
        return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:x").decode()}]}

    def batch_get_image(self, *, imageIds: list[dict[str, str]], **_: str) -> dict[str, Any]:  # noqa: N803
        """Look tags up."""
        found = [self._registry.manifests.get(one["imageTag"]) for one in imageIds]
        return {"images": [{"imageManifestMediaType": one[0]} for one in found if one]}


def test_what_is_pushed_is_of_the_types_that_sagemaker_takes(image: str) -> None:
    with Registry() as registry:
        session: Any = Ecr(registry)
        uri = own_image.push(session, image, f"{registry.host}/{own_image.REPOSITORY}")

        kind, manifest = registry.manifests[uri.rpartition(":")[2]]
        pushed = dict(registry.blobs)
        assert own_image.push(session, image, uri.rpartition(":")[0]) == uri, "a tag that is there stays"
    docker("rmi", uri)
    assert kind == manifest["mediaType"] == own_image.MANIFEST_TYPE
    assert {manifest["config"]["mediaType"], *(layer["mediaType"] for layer in manifest["layers"])} == {
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    }
    assert {layer["digest"]: layer["size"] for layer in manifest["layers"]}.items() <= pushed.items()


def test_another_python_in_the_base_image_is_refused_by_name(docker: None) -> None:  # noqa: ARG001
    done = run(sys.executable, "-m", "model_build", *BUILD, "--python", "3.12")
    assert done.returncode == 1
    assert "the base image has Python 3.11, not 3.12: give --python 3.11" in done.stderr


def test_a_base_image_that_does_not_exist_is_one_line(docker: None) -> None:  # noqa: ARG001
    done = run(sys.executable, "-m", "model_build", "image", "build", "--base-image", "localhost:1/none:1")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "`docker build` failed" in done.stderr
