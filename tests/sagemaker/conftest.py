"""The model that the containers serve, unpacked as SageMaker unpacks it."""

import platform
import sys
from pathlib import Path

import pytest

from model_build.archive.package import package_model
from model_build.archive.serving_packages import Target
from model_build.data.extract import extract
from tests.support.tiny_model import write_model


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """Write what a container finds under /opt/ml/model: red is the first label, blue the second.

    The packages in it are for the Python that runs the test, which stands in for the container's.
    """
    packages = Target(
        f"{sys.version_info.major}.{sys.version_info.minor}",
        "x86_64" if platform.machine() == "x86_64" else "arm64",
    )
    model = write_model(tmp_path / "made", ["red", "blue"])
    archive = package_model(model, tmp_path / "model.tar.gz", packages)
    folder = tmp_path / "opt-ml-model"
    extract(archive, folder)
    return folder
