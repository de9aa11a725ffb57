"""The command `samples`."""

from pathlib import Path

import pytest

from model_build.__main__ import main
from model_build.data.samples import SAMPLES


def test_writes_the_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "--output", str(tmp_path / "samples")]) == 0
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == sorted(SAMPLES)
    assert f"11 sample photos in {tmp_path / 'samples'}" in capsys.readouterr().out


def test_the_error_names_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["samples", "--output", str(tmp_path / "file" / "samples")]) == 2
    assert f"cannot write to {tmp_path / 'file' / 'samples'}" in capsys.readouterr().err
