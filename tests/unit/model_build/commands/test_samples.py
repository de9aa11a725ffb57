"""The command `samples`."""

from pathlib import Path

import pytest

from model_build.__main__ import main
from model_build.data.samples import SAMPLES


def test_writes_the_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "--output", str(tmp_path / "samples")]) == 0
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == sorted(SAMPLES)
    assert f"11 sample photos in {tmp_path / 'samples'}" in capsys.readouterr().out
