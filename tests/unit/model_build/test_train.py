"""The script-mode entry: a training job's environment as options."""

import json
from pathlib import Path

import pytest

from model_build import train


def test_hyperparameters_channels_and_model_folder_become_options() -> None:
    environment = {
        "SM_HPS": json.dumps({"classes": "a,b", "epochs": 3, "bfloat16": False, "learning_rate": 0.001}),
        "SM_CHANNEL_VALIDATION": "/data/validation",
        "SM_CHANNEL_TRAIN": "/data/train",
        "SM_MODEL_DIR": "/model",
    }
    assert train.options([], environment) == [
        *("--classes", "a,b", "--epochs", "3", "--bfloat16", "false", "--learning_rate", "0.001"),
        *("--data", "/data/train", "/data/validation", "--output", "/model"),
    ]


def test_given_options_replace_hyperparameters_data_and_output() -> None:
    environment = {"SM_HPS": '{"epochs": 3}', "SM_CHANNEL_CODE": "/code", "SM_MODEL_DIR": "/model"}
    given = ["--data", "/images", "--output", "/elsewhere"]
    assert train.options(given, environment) == given
    assert train.options(["--epochs", "2"], {}) == ["--epochs", "2"]


def test_a_failure_is_written_where_sagemaker_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SM_OUTPUT_DIR", str(tmp_path))
    assert train.main(["--data", str(tmp_path), "--epochs", "0"]) == 2
    assert (tmp_path / "failure").read_text().startswith("Invalid value for '--epochs': 0 is not")
    assert "train: Invalid value for '--epochs'" in capsys.readouterr().err
