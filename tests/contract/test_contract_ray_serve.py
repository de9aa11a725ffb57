"""Labels and model version reach ClassifyImage from AWS's Ray image, through its adapter.

`scripts/ray/sagemaker_serve.py` of aws/deep-learning-containers posts body, Content-Type and Accept to Ray
Serve, and answers with its content, status and Content-Type; since v1.2.0 of the image also with the
headers `X-Amzn-SageMaker-*`. `tests/sagemaker` runs Ray itself.
"""

import asyncio
import importlib.util
import io
import sys
from collections.abc import Callable, Coroutine
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
Replica = Callable[[Request], Coroutine[Any, Any, Response]]


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

    def __init__(self, replica: Replica, *, forwards: bool = True) -> None:
        self._replica, self._forwards = replica, forwards

    def invoke_endpoint(self, *, Body: bytes, ContentType: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        """Return what the function reads of SageMaker's answer."""
        asked = [(b"content-type", ContentType.encode()), (b"accept", b"application/json")]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": Body, "more_body": False}

        answer = asyncio.run(self._replica(Request({"type": "http", "headers": asked}, receive)))
        if answer.status_code != 200:
            original = {"OriginalStatusCode": answer.status_code, "OriginalMessage": str(answer.body)}
            error: Any = {"Error": {"Code": "ModelError"}, **original}
            raise ClientError(error, "InvokeEndpoint")
        headers = answer.headers if self._forwards else {}
        attributes = headers.get("x-amzn-sagemaker-custom-attributes", "")
        return {"Body": io.BytesIO(bytes(answer.body)), "CustomAttributes": attributes}


def test_labels_and_version_come_back_unless_the_image_is_older(replica: Replica, tmp_path: Path) -> None:
    asked = ("scones", write_photo(tmp_path / "photo.png", "blue").read_bytes(), "image/png")
    answer = function.endpoint.classify(Endpoint(replica), *asked, ["red", "blue"])
    assert (answer.model_version, answer.neither) == ("scones-7", pytest.approx(0, abs=1e-3))
    assert answer.probabilities[1] > 0.9
    with pytest.raises(function.errors.EndpointContractViolation, match="serves the labels red,blue"):
        function.endpoint.classify(Endpoint(replica), *asked, ["blue", "red"])
    answer = function.endpoint.classify(Endpoint(replica, forwards=False), *asked, ["red", "blue"])
    assert answer.model_version is None


@pytest.mark.parametrize(
    ("body", "content_type", "status"), [(b"text", "image/png", 400), (b"x", "text/csv", 415)]
)
def test_a_bad_request_keeps_its_status_and_is_not_tried_again(
    replica: Replica, body: bytes, content_type: str, status: int
) -> None:
    with pytest.raises(function.errors.EndpointContractViolation, match=f"with status {status}"):
        function.endpoint.classify(Endpoint(replica), "scones", body, content_type, ["red", "blue"])
