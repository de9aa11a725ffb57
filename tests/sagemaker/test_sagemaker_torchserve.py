"""The serving contract of the TorchServe image: AWS's own inference toolkit drives our handlers."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sagemaker_inference.transformer import Transformer

from model_build.artifact.container_images import SERVING_IMAGES
from tests.support.tiny_model import picture


class Request:
    """A request in the model server, and the response's status and headers."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers
        self.status = 200
        self.answer_headers: dict[str, str] = {}

    def get_request_properties(self) -> dict[str, str]:
        """Return the request's headers."""
        return self.headers


class Context:
    """What the model server passes to the toolkit: one object, whose request it replaces with every call."""

    def __init__(self, model_dir: Path) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor: list[Request] = []

    def set_response_content_type(self, index: int, content_type: str) -> None:
        """Take the response's content type."""
        self.request_processor[index].answer_headers["Content-Type"] = content_type

    def set_response_header(self, index: int, name: str, value: str) -> None:
        """Take a header of the response."""
        self.request_processor[index].answer_headers[name] = value

    def set_response_status(self, code: int, phrase: str) -> None:
        """Take the response's status."""
        assert phrase
        self.request_processor[0].status = code


class Server:
    """The toolkit, and the context that TorchServe keeps for it."""

    def __init__(self, model_dir: Path) -> None:
        self.transformer = Transformer()
        self.context = Context(model_dir)

    def ask(self, body: bytes, content_type: str) -> tuple[Request, Any]:
        """Answer one request."""
        request = Request({"Content-Type": content_type, "Accept": "application/json"})
        self.context.request_processor = [request]
        (answer,) = self.transformer.transform([{"body": bytearray(body)}], self.context)
        return request, answer


@pytest.fixture
def server(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return the toolkit, in the environment that a deployment gives the container."""
    for name, value in SERVING_IMAGES["torchserve"].environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODEL_VERSION", "scones-1")
    monkeypatch.syspath_prepend(str(model_dir / "code"))
    yield Server(model_dir)
    for name in ("torchserve_program", "inference"):
        sys.modules.pop(name, None)


def encoded(colour: str, kind: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture(colour)).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("PNG", "application/x-image"),
        ("JPEG", "application/x-image"),
    ],
)
def test_answers_images_of_every_content_type(server: Server, kind: str, content_type: str) -> None:
    for colour, label in (("red", 0), ("blue", 1)):
        request, answer = server.ask(encoded(colour, kind), content_type)

        assert request.status == 200
        assert request.answer_headers == {
            "Content-Type": "application/json",
            "X-Amzn-SageMaker-Custom-Attributes": "labels=red,blue;model_version=scones-1",
        }
        probabilities = json.loads(answer)
        assert sum(probabilities) == pytest.approx(1)
        assert probabilities[label] > 0.99


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"this is no image", "image/png", 400), (b"", "image/png", 400), (b"GIF89a", "text/csv2", 415)],
)
def test_a_bad_image_is_the_callers_fault(
    server: Server, body: bytes, content_type: str, status: int
) -> None:
    request, answer = server.ask(body, content_type)

    assert request.status == status
    assert "image" in answer


def test_a_broken_model_is_ours(server: Server, model_dir: Path) -> None:
    (model_dir / "model.onnx").write_bytes(b"this is no network")

    request, _ = server.ask(encoded("red", "PNG"), "image/png")

    assert request.status == 500
