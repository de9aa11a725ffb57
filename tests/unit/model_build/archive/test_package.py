"""The layout of the model archive."""

import tarfile
from pathlib import Path

import pytest

from model_build.archive.package import code_files, labels_in, package_model, read_manifest, write_code
from model_build.errors import ModelBuildError
from tests.support.archives import contents
from tests.support.tiny_model import write_experts, write_model

ROOT_LEVEL = {"config.yaml", "deployment.py"}
SHIPPED_CODE = {"code/inference.py", "code/bundled_packages.py"}


def test_an_archive_contains_what_sagemaker_looks_for(tmp_path: Path, model: Path) -> None:
    (model / "curves.png").write_bytes(b"only for people")
    archive = package_model(model, tmp_path / "out" / "model.tar.gz")
    assert set(contents(archive)) == {"model.onnx", "manifest.json"} | SHIPPED_CODE | ROOT_LEVEL
    with tarfile.open(archive) as tar:
        assert tar.getnames() == sorted(tar.getnames())


@pytest.mark.parametrize("manifest", ["{", "{}", "[]", '{"labels": 3}', None])
def test_labels_of_an_archive_of_another_tool_are_unknown(tmp_path: Path, manifest: str | None) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        if manifest is not None:
            (tmp_path / "manifest.json").write_text(manifest)
            tar.add(tmp_path / "manifest.json", "manifest.json")
    assert labels_in(read_manifest(tmp_path / "model.tar.gz")) is None


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = package_model(write_model(tmp_path / "a", ["red", "blue"]), tmp_path / "a.tar.gz").read_bytes()
    other = write_model(tmp_path / "b", ["red", "blue"])
    for path in other.iterdir():
        path.touch()
        path.chmod(0o600)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)  # packaged on another day
    assert package_model(other, tmp_path / "another name.tar.gz").read_bytes() == first
    manifest = (other / "manifest.json").read_text(encoding="utf-8")
    (other / "manifest.json").write_text(manifest.replace("0.8", "0.9"), encoding="utf-8")
    assert package_model(other, tmp_path / "c.tar.gz").read_bytes() != first


def test_an_archive_contains_the_pretrained_networks_that_the_manifest_names(
    tmp_path: Path, model: Path
) -> None:
    write_experts(model, ["red", "blue"])
    found = contents(package_model(model, tmp_path / "model.tar.gz"))
    assert {name for name in found if name.endswith(".onnx")} == {
        "model.onnx",
        "classifier.onnx",
        "detector.onnx",
    }
    assert found["detector.onnx"] == (model / "detector.onnx").read_bytes()
    (model / "classifier.onnx").unlink()
    with pytest.raises(ModelBuildError, match=r"has no classifier\.onnx: give a folder written by"):
        package_model(model, tmp_path / "again.tar.gz")


def test_a_models_own_code_is_kept(tmp_path: Path, model: Path) -> None:
    (model / "code" / "deep").mkdir(parents=True)
    (model / "code" / "inference.py").write_text("# mine\n")
    (model / "code" / "deep" / "part.py").write_text("")
    (model / "deployment.py").write_text("# mine too\n")
    found = contents(package_model(model, tmp_path / "model.tar.gz"))
    assert {name for name in found if name.startswith("code/")} == {"code/inference.py", "code/deep/part.py"}
    assert found["code/inference.py"] == b"# mine\n"
    assert found["deployment.py"] == b"# mine too\n"
    assert found["config.yaml"] == code_files()["config.yaml"].read_bytes()


def test_a_training_jobs_folder_has_the_layout_of_the_archive(tmp_path: Path, model: Path) -> None:
    packaged = contents(package_model(model, tmp_path / "model.tar.gz"))
    write_code(model)
    found = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert found == set(packaged)
    assert contents(package_model(model, tmp_path / "again.tar.gz")) == packaged


def test_code_contains_nothing_that_python_left_there(model: Path) -> None:
    (model / "code" / "__pycache__").mkdir(parents=True)
    (model / "code" / "__pycache__" / "a.pyc").write_bytes(b"")
    (model / "code" / "__init__.py").write_text("")
    (model / "code" / "inference.py").write_text("")
    assert {name for name in code_files(model) if name.startswith("code/")} == {"code/inference.py"}
