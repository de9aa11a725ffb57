"""Training as a SageMaker training job runs it: environment in, model folder or failure file out."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import boto3
import pytest

from model_build.archive.container_images import SERVING_IMAGES
from model_build.archive.package import code_files
from model_build.archive.prepare import prepare_archive
from model_build.cloud_training import copy_source
from tests.support.archives import without_packages
from tests.support.tiny_model import cifar100_files, write_archive

LABELS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folders of a training container, and the source that a job uploads."""
    folder = tmp_path_factory.mktemp("ml")
    for name in ("code", "channel", "output"):
        (folder / name).mkdir()
    copy_source(folder / "code")
    write_archive(folder / "channel" / "c100.tar.gz", cifar100_files([*LABELS, "black"], 20, 5))
    return folder


def run(job: Path, hyperparameters: dict[str, object]) -> subprocess.CompletedProcess[str]:
    variables = {
        "SM_MODEL_DIR": str(job / "model"),
        "SM_OUTPUT_DIR": str(job / "output"),
        "SM_CHANNEL_TRAINING": str(job / "channel"),
        "SM_HPS": json.dumps(hyperparameters),
        "OMP_NUM_THREADS": "1",
    }
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return python(job, {**kept, **variables}, "-m", "model_build.train")


def python(job: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command, folder = [sys.executable, *arguments], job / "code"
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def model(job: Path) -> Path:
    """Return what a job leaves that got its hyperparameters in the environment."""
    hyperparameters = {"epochs": 1, "learning_rate": 0.001, "bfloat16": False}
    done = run(job, {"classes": ",".join(LABELS), **hyperparameters})
    assert done.returncode == 0, done.stderr
    manifest = json.loads((job / "model" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["labels"] == LABELS
    assert {name: manifest["recipe"][name] for name in hyperparameters} == hyperparameters
    return job / "model"


@pytest.mark.parametrize("image", list(SERVING_IMAGES))
def test_the_archive_of_a_job_deploys_with_its_own_code(model: Path, tmp_path: Path, image: str) -> None:
    """Nothing but the packages that an image lacks is added: a job does not know which image will serve."""
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:  # as SageMaker does
        for file in sorted(model.iterdir()):
            packed.add(file, file.name)
    (tmp_path / "scratch").mkdir()
    session = boto3.Session(region_name="us-east-1")
    prepared = prepare_archive(archive, SERVING_IMAGES[image], tmp_path / "scratch", session)
    of_the_job, served = without_packages(archive), without_packages(prepared)
    assert served.keys() <= of_the_job.keys()
    for name, file in code_files().items():
        assert served[name] == of_the_job[name] == file.read_bytes(), name


def test_a_job_needs_only_what_its_requirements_install(job: Path) -> None:
    """AWS's image has PyTorch and numpy; other packages of ours may be missing there."""
    absent = ("boto3", "botocore", "jinja2", "moto", "sagemaker", "starlette")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        "import model_build.train, model_build.training.pipeline"
    )
    done = python(job, dict(os.environ), "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_failure_is_written_where_sagemaker_reads_it(job: Path) -> None:
    done, reason = run(job, {"classes": "red,tricycle"}), "no training images of tricycle"
    assert done.returncode == 2
    assert reason in done.stderr
    assert reason in (job / "output" / "failure").read_text(encoding="utf-8")
