"""The photos of a smoke test, each with the outcome that a healthy deployment gives it."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from model_build.data.samples import write_samples

# A key of the caller's own (SSE-C): nobody can read the object without it, whatever the role allows
# (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html).
_CUSTOMER_KEY: Final = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": "smoke-test-key-of-32-bytes-long!",
}


@dataclass(frozen=True)
class Sample:
    """A photo and what must become of it.

    Attributes:
        name: of the file.
        content: the file's bytes.
        outcome: the expected outcome.
        error: the expected error; None for ACCEPTED.
        options: more parameters of PutObject.
    """

    name: str
    content: bytes
    outcome: str
    error: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def draw_samples(accepted: Path | None = None, doubtful: Path | None = None) -> list[Sample]:
    """Return one sample of each outcome, drawn by code unless files are given.

    Args:
        accepted: a photo that the model must accept; a drawn bicycle by default.
        doubtful: a photo that the model must not accept; a drawn cat by default.
    """
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        drawn = {path.name: path.read_bytes() for path in write_samples(Path(folder))}
    good = accepted.read_bytes() if accepted else drawn["bicycle.jpg"]
    doubt = doubtful.read_bytes() if doubtful else drawn["cat.jpg"]
    return [
        Sample(accepted.name if accepted else "bicycle.jpg", good, "ACCEPTED"),
        Sample(
            doubtful.name if doubtful else "cat.jpg", doubt, "LOW_CONFIDENCE", "THRESHOLD_CONFIDENCE_NOT_MET"
        ),
        Sample("not_an_image.png", drawn["not_an_image.png"], "REJECTED", "UnsupportedImage"),
        Sample("unreadable.jpg", good, "FAILED", "ObjectNotReadable", _CUSTOMER_KEY),
    ]
