"""A new model takes over while photos keep coming, and a broken one never gets any."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from PIL import Image

from localcloud.application import ENDPOINT_NAME, MODEL_BUCKET
from localcloud.environment import aws_variables
from model_build.archive.package import package_model
from model_build.endpoint.deploy import DeployResult
from model_build.endpoint.wanted import Wanted
from model_build.errors import DeploymentError
from tests.support.deployment import deploy
from tests.support.local_cloud import LocalCloud
from tests.support.tiny_model import COLOURS, write_model

ROLE = "arn:aws:iam::000000000000:role/test"
SECONDS_BETWEEN_PHOTOS = 1.0


class Drivers:
    """A steady stream of red photos into the bucket, from when it is entered until it is left."""

    def __init__(self, cloud: LocalCloud, name: str) -> None:
        self._cloud = cloud
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._progress = threading.Condition()
        self.keys: list[str] = []

    def __enter__(self) -> Self:
        """Return once the first photo is on its way."""
        self._thread.start()
        self.wait_for_more(1)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sending."""
        self._stop.set()
        self._thread.join()

    def wait_for_more(self, photos: int) -> None:
        """Return when so many more photos were sent."""
        with self._progress:
            wanted = len(self.keys) + photos
            assert self._progress.wait_for(lambda: len(self.keys) >= wanted, timeout=60)

    def labels(self) -> list[str]:
        """Return each photo's label, or its outcome if it has none, in the order in which they were sent."""
        found = []
        for key in self.keys:
            self._cloud.executions(key)
            (record,) = self._cloud.records(key)
            found.append(str(record["label"] if record["outcome"] == "ACCEPTED" else record["outcome"]))
        return found

    def _send(self) -> None:
        photo = io.BytesIO()
        Image.new("RGB", (64, 64), COLOURS["red"]).save(photo, "JPEG")
        while not self._stop.wait(SECONDS_BETWEEN_PHOTOS):
            key = f"incoming/{self._name}-{len(self.keys):03d}.jpg"
            self._cloud.upload(key, photo.getvalue())
            with self._progress:
                self.keys.append(key)
                self._progress.notify_all()


def put_behind_the_endpoint(model: Path) -> DeployResult:
    wanted = Wanted(model, ENDPOINT_NAME, capture=True, image="own")
    return deploy(wanted, role=ROLE, bucket=MODEL_BUCKET)


@pytest.fixture(autouse=True)
def _usual_model_afterwards(
    cloud: LocalCloud, model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    for name, value in aws_variables(cloud.running).items():
        monkeypatch.setenv(name, value)
    yield
    put_behind_the_endpoint(model)


def test_no_photo_fails_while_a_new_model_takes_over(cloud: LocalCloud, tmp_path: Path) -> None:
    # The usual model calls red things bicycles; the new one calls them motorcycles.
    new = write_model(tmp_path / "new", ["green", "red"], names=["bicycle", "motorcycle"])

    with Drivers(cloud, "takeover") as drivers:
        cloud.executions(drivers.keys[0])  # by now the first photo has its outcome, from the usual model
        put_behind_the_endpoint(new)
        drivers.wait_for_more(3)

    labels = drivers.labels()
    assert set(labels) == {"bicycle", "motorcycle"}, (
        "each photo was accepted by the old model or by the new one"
    )
    assert (labels[0], labels[-1]) == ("bicycle", "motorcycle")


def test_a_broken_model_never_gets_a_photo(cloud: LocalCloud, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "broken", ["green", "red"], names=["bicycle", "motorcycle"])
    (folder / "model.onnx").write_bytes(b"this is no network")
    broken = package_model(folder, tmp_path / "broken.tar.gz")

    with Drivers(cloud, "broken") as drivers:
        with pytest.raises(DeploymentError, match="rolled back"):
            put_behind_the_endpoint(broken)
        drivers.wait_for_more(3)

    assert set(drivers.labels()) == {"bicycle"}
