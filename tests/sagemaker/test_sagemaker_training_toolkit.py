"""The training contract: AWS's own toolkit runs the training from hyperparameters.json."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from model_build.archive.loaded_model import open_model
from model_build.archive.package import package_model
from model_build.cloud_training import copy_source, tar_of_class
from model_build.data.cifar import Archive, Split, load_archive
from model_build.evaluation.report import evaluate
from tests.support.real_data import real_data

IMAGES_A_CLASS = 150


def few(archive: Archive) -> Archive:
    """Return the archive with the first images of each class only."""
    train = archive.train
    kept = np.concatenate(
        [np.flatnonzero(train.labels == label)[:IMAGES_A_CLASS] for label in range(len(archive.classes))]
    )
    return replace(archive, train=Split(train.images[kept], train.labels[kept], ()))


@dataclass
class Container:
    """The folders of a training container, below a folder of the test's, and `train` to run in them."""

    base: Path

    def fill(self, archive: Archive, hyperparameters: dict[str, str]) -> None:
        """Lays out what SageMaker lays out before it starts the container."""
        for index, name in enumerate(archive.classes):
            folder = self.base / "input" / "data" / "train" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "0.tar").write_bytes(tar_of_class(few(archive), index))
        for name in ("input/config", "model", "output"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        code = self.base / "submitted"
        code.mkdir()
        copy_source(code)
        self._configure("inputdataconfig", {"train": {"TrainingInputMode": "File"}})
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}
        self._configure("resourceconfig", hosts)
        script = {"sagemaker_program": "model_build/train.py", "sagemaker_submit_directory": str(code)}
        self._configure("hyperparameters", script | hyperparameters)

    def train(self) -> subprocess.CompletedProcess[str]:
        """Run the container's entry point."""
        programs = Path(sys.executable).parent
        return subprocess.run(
            [programs / "train"],
            cwd=self.base,
            env={
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.base),
                "SAGEMAKER_BASE_DIR": str(self.base),
                "SM_STUDIO_LOCAL_MODE": "true",
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def _configure(self, name: str, content: object) -> None:
        (self.base / "input" / "config" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def archive() -> Archive:
    return load_archive(real_data("cifar-100-python.tar.gz"))


def test_the_container_trains_on_real_images_a_model_that_evaluate_accepts(
    archive: Archive, tmp_path: Path
) -> None:
    container = Container(tmp_path)
    settings = {"classes": "bicycle,motorcycle", "epochs": "2", "drawn": "0", "clutter": "0"}
    container.fill(archive, settings)

    done = container.train()

    assert done.returncode == 0, done.stderr
    model = tmp_path / "model"
    assert (model / "code" / "inference.py").is_file(), "the job's archive must be deployable as it is"
    with open_model(model) as loaded:
        figures = evaluate(loaded, [archive.path]).to_json()
    assert figures["images"] == 200
    assert figures["accuracy"] > 0.55, "two short epochs do better than chance"
    assert package_model(model, tmp_path / "deployable.tar.gz").is_file()
