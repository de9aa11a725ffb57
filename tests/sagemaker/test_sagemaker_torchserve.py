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


class Context:
    """What the model server hands to the toolkit with a request, and takes back from it."""

    def __init__(self, model_dir: Path, headers: dict[str, str]) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.headers = headers
        self.status = 200
        self.content_type = ""

    def get_request_properties(self) -> dict[str, str]:
        """The request's headers."""
        return self.headers

    def set_response_content_type(self, _index: int, content_type: str) -> None:
        """Takes the answer's content type."""
        self.content_type = content_type

    def set_response_status(self, code: int, phrase: str) -> None:
        """Takes the answer's status."""
        assert phrase
        self.status = code


@pytest.fixture
def transformer(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transformer]:
    """The toolkit, in the environment that a deployment gives the container."""
    for name, value in SERVING_IMAGES["torchserve"].environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(model_dir / "code"))
    yield Transformer()
    for name in ("torchserve_program", "inference"):
        sys.modules.pop(name, None)


def ask(transformer: Transformer, model_dir: Path, body: bytes, content_type: str) -> tuple[Context, Any]:
    context = Context(model_dir, {"Content-Type": content_type, "Accept": "application/json"})
    (answer,) = transformer.transform([{"body": bytearray(body)}], context)
    return context, answer


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
def test_answers_images_of_every_content_type(
    transformer: Transformer, model_dir: Path, kind: str, content_type: str
) -> None:
    for colour, label in (("red", 0), ("blue", 1)):
        context, answer = ask(transformer, model_dir, encoded(colour, kind), content_type)

        assert (context.status, context.content_type) == (200, "application/json")
        probabilities = json.loads(answer)
        assert sum(probabilities) == pytest.approx(1)
        assert probabilities[label] > 0.99


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"this is no image", "image/png", 400), (b"", "image/png", 400), (b"GIF89a", "text/csv2", 415)],
)
def test_a_bad_image_is_the_callers_fault(
    transformer: Transformer, model_dir: Path, body: bytes, content_type: str, status: int
) -> None:
    context, answer = ask(transformer, model_dir, body, content_type)

    assert context.status == status
    assert "image" in answer


def test_a_broken_model_is_ours(transformer: Transformer, model_dir: Path) -> None:
    (model_dir / "model.onnx").write_bytes(b"this is no network")

    context, _ = ask(transformer, model_dir, encoded("red", "PNG"), "image/png")

    assert context.status == 500
