"""`model_build package`."""

from pathlib import Path

import pytest

from model_build.__main__ import main
from model_build.archive import package
from model_build.data.extract import hash_files


def test_it_writes_an_archive_and_prints_its_size_unless_there_is_no_network(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, other = tmp_path / "new" / "m.tar.gz", tmp_path / "m.tar.gz"
    assert main(["package", "--model", str(model), "--output", str(archive)]) == 0
    assert capsys.readouterr().out == f"{archive}: {archive.stat().st_size:,} bytes\n"
    (model / "model.onnx").unlink()
    assert main(["package", "--model", str(model), "--output", str(other)]) == 1
    assert f"{model} has no model.onnx" in capsys.readouterr().err
    assert not other.exists()


def test_an_archive_for_an_image_of_aws_has_the_packages_that_it_lacks(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    (packages / "onnxruntime").mkdir(parents=True)
    (packages / "onnxruntime" / "__init__.py").write_text("")
    monkeypatch.setattr(package, "packages_for", lambda _: packages)
    for image, expected in (("own", False), ("ray", True)):
        archive = tmp_path / f"{image}.tar.gz"
        assert main(["package", "--model", str(model), "--image", image, "--output", str(archive)]) == 0
        assert ("code/packages/cp313-x86_64/onnxruntime/__init__.py" in hash_files(archive)) is expected
