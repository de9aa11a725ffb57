"""Training on SageMaker, as far as it goes without the SageMaker SDK."""

import argparse
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from model_build.__main__ import main
from model_build.cloud_training import request as sagemaker_training
from model_build.cloud_training.request import files_by_class
from model_build.data.cifar import load_archive
from model_build.errors import CloudError, RefusedError
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive

ROOT = Path(__file__).resolve().parents[4]
ROLE = "arn:aws:iam::123456789012:role/scones-model"


def test_images_that_went_through_jpeg_stay_jpeg(tmp_path: Path) -> None:
    clean = load_archive(
        write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=2, test=1))
    )
    lossy = load_archive(write_archive(tmp_path / "b.tar.gz", cifar10_files(["white"], train=1, test=1)))

    for archive, kind in ((clean, "PNG"), (lossy, "JPEG")):
        for number, (name, content) in enumerate(files_by_class(archive)):
            with Image.open(io.BytesIO(content)) as image:
                assert image.format == kind
                assert image.size == (32, 32)
            assert name.split("/")[0] == archive.classes[archive.train.labels[number]]


def test_lossless_images_keep_every_pixel(tmp_path: Path) -> None:
    archive = load_archive(write_archive(tmp_path / "a.tar.gz", cifar100_files(["red"], train=2, test=1)))

    for number, (_, content) in enumerate(files_by_class(archive)):
        with Image.open(io.BytesIO(content)) as image:
            assert image.tobytes() == archive.train.images[number].tobytes()


def test_without_the_sdk_the_command_says_which_environment_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=1, test=1))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(sys.modules, "sagemaker", None)
    monkeypatch.delitem(sys.modules, "model_build.cloud_training.job", raising=False)
    request = sagemaker_training.TrainRequest(
        data=[archive], role_arn=ROLE, bucket="scones-models", classes="red,blue", output=tmp_path
    )

    with pytest.raises(CloudError, match=r"SageMaker Python SDK.*\.venv/sagemaker"):
        sagemaker_training.train(request)


def test_train_sagemaker_needs_neither_pytorch_nor_the_sdk_to_show_its_help() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['sagemaker'] = None;"
        "from model_build.__main__ import main; main(['train', '--sagemaker', '--help'])"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    for option in ("--spot", "--max-runtime", "--role-arn", "--hyperparameter"):
        assert option in done.stdout


def test_hyperparameters_are_names_with_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--sagemaker", "--role-arn", ROLE, "--bucket", "b", "--data", str(tmp_path)]

    assert main([*command, "--hyperparameter", "epochs"]) == RefusedError.exit_code
    assert "NAME=VALUE" in capsys.readouterr().err


def test_options_name_role_and_bucket_as_needed() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    sagemaker_training.add_arguments(parser)

    with pytest.raises(SystemExit):
        parser.parse_args(["--sagemaker"])
