"""`model_build predict`."""

import json
from pathlib import Path

import pytest

from model_build.__main__ import main
from tests.support.tiny_model import write_photo


def test_json_has_one_object_per_file(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    red, blue = write_photo(tmp_path / "red.png", "red"), write_photo(tmp_path / "blue.jpg", "blue")
    broken = tmp_path / "broken.png"
    broken.write_text("no photo")
    files = [str(path) for path in (red, broken, blue)]
    assert main(["predict", "--model", str(model), *files, "--json"]) == 1
    out, err = capsys.readouterr()
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert [one["file"] for one in (first, second, third)] == files
    assert set(first) == {"file", "label", "confidence", "probabilities"}
    assert first["label"] == "red"
    assert first["confidence"] == first["probabilities"][0] > 0.9
    assert sum(third["probabilities"]) == pytest.approx(1)
    assert third["confidence"] == third["probabilities"][1] > 0.9
    assert second["label"] is second["confidence"] is second["probabilities"] is None
    assert "not a readable image" in second["error"]
    assert f"{broken}: the body is not a readable image" in err


def test_the_table_has_a_column_per_label(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sure, unsure = write_photo(tmp_path / "a.png", "red"), write_photo(tmp_path / "b.png", "green")
    assert main(["predict", "--model", str(model), str(sure), str(unsure)]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["file", "prediction", "red", "blue"]
    assert first.split() == [str(sure), "red", "1.000", "0.000"]
    assert first.index("1.000") + len("1.000") == head.rindex("red") + len("red")
    assert second.endswith("  below the threshold 0.8")
    assert main(["predict", "--model", str(model), str(unsure), "--threshold", "0.1"]) == 0
    assert "threshold" not in capsys.readouterr().out


def test_a_missing_file_is_wrong_use(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write_photo(tmp_path / "a.png", "red")
    assert main(["predict", "--model", str(model), str(photo), str(tmp_path / "missing.png")]) == 2
    out, err = capsys.readouterr()
    assert not out  # nothing was classified
    assert "missing.png' does not exist" in err
