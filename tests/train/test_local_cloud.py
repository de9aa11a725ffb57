"""A model of five classes trained here, deployed, and asked by the workflow: it brings its `ClassLabels`."""

import json
from pathlib import Path

import pytest

from localcloud import application
from localcloud.state import StateFolder
from localcloud.steps import Steps
from model_build.__main__ import main
from tests.support.local_cloud import bare_cloud
from tests.support.tiny_model import cifar100_files, write_archive, write_photo

LABELS = ["yellow", "red", "green", "white", "blue"]


def test_five_classes_from_training_to_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a model of five classes, and the application deployed with it
    data = write_archive(tmp_path / "c100.tar.gz", cifar100_files([*LABELS, "black"], 20, 5))
    model = tmp_path / "model"
    options = ["--data", str(data), "--classes", ",".join(LABELS), "--epochs", "14", "--output", str(model)]
    assert main(["train", *options]) == 0
    usual = application.parameters
    monkeypatch.setattr(
        application, "parameters", lambda labels: {**usual(labels), "ConfidenceThreshold": "0.3"}
    )
    folder = StateFolder(tmp_path / "cloud")
    with bare_cloud(folder.path) as cloud, Steps(folder.logs) as steps:
        deployed = application.Application(folder, steps, model)
        deployed.build()
        cloud.running = deployed.deploy(cloud.running)
        # When a photo of each class arrives
        for label in LABELS:
            photo = write_photo(tmp_path / f"{label}.png", label)
            cloud.upload(f"incoming/{label}.png", photo.read_bytes())
        # Then each is recognised
        for label in LABELS:
            (execution,) = cloud.executions(f"incoming/{label}.png")
            (record,) = cloud.records(f"incoming/{label}.png")
            assert (record["outcome"], record["label"]) == ("ACCEPTED", label)
            assert json.loads(execution["output"])["label"] == label
