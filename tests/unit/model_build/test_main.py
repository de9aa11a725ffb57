"""The dispatcher: what `python -m model_build` finds, lists and reports."""

import subprocess
import sys
from pathlib import Path

import pytest

from model_build.__main__ import COMMANDS, main

ROOT = Path(__file__).resolve().parents[3]


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from model_build.__main__ import main; main(['--help']);"
        "print([name for name in ('numpy', 'torch', 'boto3', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_train_sagemaker_is_another_name_for_train_cloud(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--sagemaker", "--help"]) == 0
    assert "train-cloud" in capsys.readouterr().out
