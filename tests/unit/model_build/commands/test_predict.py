"""`model_build predict`."""

import json
from pathlib import Path

import pytest

from model_build.__main__ import main
from tests.support.tiny_model import write_model, write_photo


def test_predict_prints_one_object_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model", ["red", "blue"], ["green"])
    red, missing = write_photo(tmp_path / "red.png", "red"), tmp_path / "missing.png"
    broken, blue = tmp_path / "broken.png", write_photo(tmp_path / "blue.jpg", "blue")
    broken.write_text("no photo")
    files = [str(path) for path in (red, missing, broken, blue)]
    assert main(["predict", "--model", str(model), *files, "--json"]) == 1
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["file"] for answer in answers] == files
    assert [answer["label"] for answer in answers] == ["red", None, None, "blue"]
    assert set(answers[0]) == {"file", "label", "confidence", "probabilities"}
    assert answers[0]["confidence"] == max(answers[0]["probabilities"])
    assert sum(answers[3]["probabilities"]) == pytest.approx(1)
    assert "No such file" in answers[1]["error"]
    assert "missing.png" in err
    assert "broken.png" in err


def test_predict_marks_what_it_is_not_sure_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model", ["red", "blue"], ["green"])
    sure, unsure = write_photo(tmp_path / "a.png", "red"), write_photo(tmp_path / "b.png", "green")
    assert main(["predict", "--model", str(model), str(sure), str(unsure)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[1:] == ["red", "1.000"]
    assert second.endswith("uncertain")
    assert main(["predict", "--model", str(model), str(unsure), "--threshold", "0.1"]) == 0
    assert not capsys.readouterr().out.strip().endswith("uncertain")
