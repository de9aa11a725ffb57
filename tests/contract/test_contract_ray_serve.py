"""Labels and model version reach ClassifyImage from AWS's Ray image, through its adapter.

`scripts/ray/sagemaker_serve.py` of aws/deep-learning-containers posts body, Content-Type and Accept to Ray
Serve, and answers with its content, status and Content-Type; since v1.2.0 of the image also with the
headers `X-Amzn-SageMaker-*`. Without an answer of Ray within 300 s it answers 504, without a connection
503, and 500 after any other failure. `tests/sagemaker` runs Ray itself.
"""

import asyncio
import importlib.util
import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from starlette.requests import Request
from starlette.responses import Response

from model_build.archive.package import write_code
from tests.support.sam_app import load_function
from tests.support.tiny_model import write_model, write_photo

function = load_function("classify_image")
Replica = Callable[[Request], Awaitable[Response]]
FORWARDED = "x-amzn-sagemaker-"
FAILURES = {TimeoutError: 504, ConnectionError: 503, RuntimeError: 500}  # of the adapter's request to Ray


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replica:
    """Return the deployment of a model folder, as Ray would construct it."""
    folder = write_model(tmp_path / "model", ["red", "blue"], ["green"])
    write_code(folder)
    ray = ModuleType("ray")
    ray.serve = ModuleType("ray.serve")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("inference", "bundled_packages"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("MODEL_VERSION", "scones-7")
    spec = importlib.util.spec_from_file_location("deployment", folder / "deployment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Replica = module.Classifier()
    return found


class Endpoint:
    """What a caller of InvokeEndpoint gets from the Ray image."""

    def __init__(self, replica: Replica, *, forwards: bool) -> None:
        self._replica, self._forwards = replica, forwards

    def adapter(self, body: bytes, content_type: str) -> Response:
        """Do what `/invocations` of the image does."""
        asked = [(b"content-type", content_type.encode()), (b"accept", b"application/json")]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def ask() -> Response:
            return await self._replica(Request({"type": "http", "headers": asked}, receive))

        try:
            found = asyncio.run(ask())
        except tuple(FAILURES) as error:
            return Response("{}", FAILURES[type(error)], media_type="application/json")
        kept = {name: value for name, value in found.headers.items() if name.startswith(FORWARDED)}
        headers = kept if self._forwards else {}
        return Response(found.body, found.status_code, headers, found.headers["content-type"])

    def invoke_endpoint(self, *, Body: bytes, ContentType: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        """Return what the function reads of SageMaker's answer."""
        answer = self.adapter(Body, ContentType)
        if answer.status_code != 200:
            original = {"OriginalStatusCode": answer.status_code, "OriginalMessage": str(answer.body)}
            error: Any = {"Error": {"Code": "ModelError"}, **original}
            raise ClientError(error, "InvokeEndpoint")
        return {
            "Body": io.BytesIO(bytes(answer.body)),
            "CustomAttributes": answer.headers.get("x-amzn-sagemaker-custom-attributes", ""),
        }


def test_labels_and_version_come_back(replica: Replica, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", "blue").read_bytes()
    runtime = Endpoint(replica, forwards=True)
    answer = function.endpoint.classify(runtime, "scones", photo, "image/png", ["red", "blue"])
    assert (answer.model_version, answer.neither) == ("scones-7", pytest.approx(0, abs=1e-3))
    assert answer.probabilities[1] > 0.9
    with pytest.raises(function.errors.EndpointContractViolation, match="serves the labels red,blue"):
        function.endpoint.classify(runtime, "scones", photo, "image/png", ["blue", "red"])


def test_an_image_before_v1_2_answers_without_them(replica: Replica, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", "blue").read_bytes()
    runtime = Endpoint(replica, forwards=False)
    answer = function.endpoint.classify(runtime, "scones", photo, "image/png", ["red", "blue"])
    assert answer.model_version is None


@pytest.mark.parametrize(
    ("body", "content_type", "status"), [(b"text", "image/png", 400), (b"x", "text/csv", 415)]
)
def test_a_bad_request_keeps_its_status_and_is_not_tried_again(
    replica: Replica, body: bytes, content_type: str, status: int
) -> None:
    with pytest.raises(function.errors.EndpointContractViolation, match=f"with status {status}"):
        function.endpoint.classify(
            Endpoint(replica, forwards=True), "scones", body, content_type, ["red", "blue"]
        )


@pytest.mark.parametrize("failure", FAILURES)
def test_a_ray_that_does_not_answer_is_tried_again(failure: type[Exception]) -> None:
    async def fails(_: Request) -> Response:
        raise failure

    with pytest.raises(function.errors.EndpointUnavailable):
        function.endpoint.classify(
            Endpoint(fails, forwards=True), "scones", b"x", "image/png", ["red", "blue"]
        )
