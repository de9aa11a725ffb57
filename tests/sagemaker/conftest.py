"""The model that the containers serve, unpacked as SageMaker unpacks it."""

from pathlib import Path

import pytest

from model_build.artifact.extract import extract
from model_build.artifact.package import package_model
from tests.support.tiny_model import write_model


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """Write what a container finds under /opt/ml/model: red is the first label, blue the second."""
    archive = package_model(write_model(tmp_path / "made", ["red", "blue"]), tmp_path / "model.tar.gz")
    folder = tmp_path / "opt-ml-model"
    extract(archive, folder)
    return folder
