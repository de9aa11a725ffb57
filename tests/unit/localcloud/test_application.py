"""The stack's parameters on this machine, and the labels that a model brings."""

import re
import tarfile
from pathlib import Path

import pytest

from commandline.errors import UsageError
from localcloud.application import CLASS_LABELS, labels_of, parameters
from localcloud.build import ROOT
from model_build.artifact.package import package_model
from model_build.errors import ModelBuildError
from tests.support.tiny_model import write_model


def test_the_stack_takes_samconfigs_local_parameters_and_this_machines() -> None:
    chosen = parameters()
    assert chosen["BucketName"] == "scones-photos"
    assert chosen["PythonRuntime"].startswith("python3.")
    assert chosen["Architecture"] in {"x86_64", "arm64"}
    assert "ClassLabels" not in chosen


def test_the_stack_takes_the_models_labels(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", ["red", "blue", "green"])
    archive = package_model(model, tmp_path / "model.tar.gz")
    assert labels_of(model) == labels_of(archive) == ("red", "blue", "green")
    assert parameters(labels_of(model))["ClassLabels"] == "red,blue,green"


def test_a_model_without_a_manifest_leaves_the_labels_as_they_are(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(__file__, "code/inference.py")
    (tmp_path / "folder").mkdir()
    assert labels_of(tmp_path / "model.tar.gz") is None
    assert labels_of(tmp_path / "folder") is None


@pytest.mark.parametrize("content", [b"", b"not an archive"], ids=["empty", "text"])
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(ModelBuildError, match=r"model\.tar\.gz"):
        labels_of(tmp_path / "model.tar.gz")


@pytest.mark.parametrize("labels", [["Pickup Truck", "van"], ["only"], ["a,b", "c"]])
def test_labels_that_the_template_refuses_are_refused_first(tmp_path: Path, labels: list[str]) -> None:
    model = write_model(tmp_path, ["red", "green"][: len(labels)], names=labels)
    with pytest.raises(UsageError, match="cannot be the stack's ClassLabels"):
        labels_of(model)


def test_the_pattern_is_the_templates() -> None:
    template = (ROOT / "template.yaml").read_text()
    section = template[template.index("  ClassLabels:") :]
    found = re.search(r"AllowedPattern: (\S+)", section)
    assert found is not None
    assert found[1] == f"^{CLASS_LABELS}$"
