"""The options of `train`, `cross-validate` and `train-cloud`, checked before any work begins."""

import sys
from pathlib import Path

import pytest

from model_build.__main__ import main
from tests.support.tiny_model import cifar100_files, write_archive

CLOUD = ["--role-arn", "arn:aws:iam::123456789012:role/scones-model", "--bucket", "scones-models"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=1, test=1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--epochs", "0"], "'--epochs': 0 is not in the range"),
        (["cross-validate", "--dropout", "nan"], "'--dropout': 'nan' is not a finite number"),
        (
            ["train-cloud", *CLOUD, "--learning_rate", "0"],
            "'--learning-rate': 0.0 is not in the range 0<x<=1",
        ),
        (["train", "--classes", "red,red"], "not a list of different names"),
        (["train", "--data", "missing.tar.gz"], "missing.tar.gz"),
        (["train", "--bfloat16", "perhaps"], "not a valid boolean"),
        (["train", "--time-budget", "0"], "'--time-budget': '0' is not a number of seconds above 0"),
        (["train", "--photos", "mine"], "--photos mine: training is for thumbnails; scones model learn mine"),
        (["train", "--time-budget", "nan"], "'--time-budget': 'nan' is not a number of seconds above 0"),
        (["cross-validate", "--folds", "1"], "'--folds': 1 is not in the range"),
        (["cross-validate", "--only", "0"], "--only 0: must be from 1 to --folds 5"),
        (["cross-validate", "--only", "6"], "--only 6: must be from 1 to --folds 5"),
        (["train-cloud", *CLOUD, "--max-runtime", "59"], "'--max-runtime': 59 is not in the range 60<=x"),
        (["train-cloud", *CLOUD, "--max-runtime", "2419201"], "'--max-runtime': 2419201 is not in the range"),
        (["train-cloud", "--bucket", "b"], "Missing option '--role-arn'"),
        (["train-cloud", "--role-arn", "r"], "Missing option '--bucket'"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    arguments: list[str], message: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--data", data]) == 2
    assert message in capsys.readouterr().err


def test_without_the_sdk_the_command_names_the_environment_that_has_it(
    data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(sys.modules, "sagemaker", None)
    monkeypatch.setitem(sys.modules, "sagemaker.core", None)
    monkeypatch.delitem(sys.modules, "model_build.cloud_training", raising=False)
    assert main(["train-cloud", *CLOUD, "--data", data, "--classes", "red,blue"]) == 1
    assert ".venv/sagemaker" in capsys.readouterr().err
