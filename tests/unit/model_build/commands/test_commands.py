"""The commands extract, predict and package, and the dispatcher that finds them."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from model_build.__main__ import COMMANDS, main
from model_build.artifact.package import package_model
from tests.support.tiny_model import write_model, write_photo

ROOT = Path(__file__).resolve().parents[4]

# ------------------------------------------------------------------ the dispatcher


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from model_build.__main__ import main; main(['--help']);"
        "print([name for name in ('numpy', 'torch', 'boto3', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_a_wrong_command_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluat"]) == 2
    assert "Did you mean evaluate?" in capsys.readouterr().err


def test_train_sagemaker_is_another_name_for_train_cloud(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["train", "--sagemaker", "--help"])
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    assert status == 0
    assert "train-cloud" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "predict", "package", "card"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([command, "--help"])
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    assert status == 0
    assert f"usage: python -m model_build {command}" in capsys.readouterr().out.replace("Usage", "usage")


# ------------------------------------------------------------------ predict


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


# ------------------------------------------------------------------ package


def test_an_archive_has_what_sagemaker_looks_for(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", ["red", "blue"])
    (model / "curves.png").write_bytes(b"only for people")
    with tarfile.open(package_model(model, tmp_path / "out" / "model.tar.gz")) as tar:
        names = tar.getnames()
    assert {"model.onnx", "manifest.json", "code/inference.py", "code/requirements.txt"} <= set(names)
    assert names == sorted(names)
    assert not [name for name in names if name.endswith((".png", ".pyc")) or "__init__" in name]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = package_model(write_model(tmp_path / "a", ["red", "blue"]), tmp_path / "a.tar.gz").read_bytes()
    other = write_model(tmp_path / "b", ["red", "blue"])
    for path in other.iterdir():
        path.touch()
        path.chmod(0o600)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)  # packed on another day
    assert package_model(other, tmp_path / "another name.tar.gz").read_bytes() == first
    (other / "manifest.json").write_text("{}")
    assert package_model(other, tmp_path / "c.tar.gz").read_bytes() != first


def test_a_models_own_code_is_kept(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", ["red", "blue"])
    (model / "code" / "deep").mkdir(parents=True)
    (model / "code" / "inference.py").write_text("# mine\n")
    (model / "code" / "deep" / "part.py").write_text("")
    with tarfile.open(package_model(model, tmp_path / "model.tar.gz")) as tar:
        code = {name for name in tar.getnames() if name.startswith("code/")}
        file = tar.extractfile("code/inference.py")
        assert file is not None
        assert file.read() == b"# mine\n"
    assert code == {"code/inference.py", "code/deep/part.py"}


def test_package_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model", ["red", "blue"])
    assert main(["package", "--model", str(model), "--output", str(tmp_path / "m.tar.gz")]) == 0
    assert f"{(tmp_path / 'm.tar.gz').stat().st_size:,} bytes" in capsys.readouterr().out
    (model / "model.onnx").unlink()
    assert main(["package", "--model", str(model), "--output", str(tmp_path / "m.tar.gz")]) == 1
    assert "has no model.onnx" in capsys.readouterr().err
