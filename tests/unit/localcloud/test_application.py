"""The stack's parameters on this machine, and the labels that a model brings."""

import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from commandline.errors import UsageError
from localcloud import application
from localcloud.application import ENDPOINT_NAME, Application, build_digest, labels_of, parameters
from localcloud.environment import ROOT
from localcloud.sagemaker.endpoints import serving_note
from localcloud.state import Running, StateFolder
from model_build.archive.package import DEFAULT_MODEL, package_model
from model_build.endpoint.aws import CLASS_LABELS
from model_build.errors import ModelBuildError
from tests.support.tiny_model import write_model


def test_the_stack_takes_samconfigs_local_parameters_this_machines_and_the_models_labels(
    tmp_path: Path,
) -> None:
    chosen = parameters()
    assert chosen["BucketName"] == "scones-photos"
    assert chosen["PythonRuntime"].startswith("python3.")
    assert chosen["Architecture"] in {"x86_64", "arm64"}
    assert "ClassLabels" not in chosen
    model = write_model(tmp_path / "m", ["red", "blue", "green"])
    archive = package_model(model, tmp_path / "model.tar.gz")
    assert labels_of(model) == labels_of(archive) == ("red", "blue", "green")
    assert parameters(labels_of(model))["ClassLabels"] == "red,blue,green"


def test_a_model_without_a_manifest_has_no_labels_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(__file__, "code/inference.py")
    (tmp_path / "folder").mkdir()
    assert labels_of(tmp_path / "model.tar.gz") is None
    assert labels_of(tmp_path / "folder") is None
    (tmp_path / "model.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(ModelBuildError, match=r"model\.tar\.gz"):
        labels_of(tmp_path / "model.tar.gz")


@pytest.mark.parametrize("labels", [["Pickup Truck", "van"], ["only"], ["a,b", "c"]])
def test_labels_that_the_template_refuses_are_refused_first(tmp_path: Path, labels: list[str]) -> None:
    model = write_model(tmp_path, ["red", "green"][: len(labels)], names=labels)
    with pytest.raises(UsageError, match="cannot be the stack's ClassLabels"):
        labels_of(model)


def test_the_pattern_is_the_templates() -> None:
    template = (ROOT / "template.yaml").read_text()
    patterns = re.findall(r"AllowedPattern: (\S+)", template[template.index("  ClassLabels:") :])
    assert patterns[0] == f"^{CLASS_LABELS}$"


class Commands:
    """Stands in for `Steps`: notes what would be run, and lets the emulator's note name what was deployed."""

    def __init__(self, folder: StateFolder) -> None:
        self.note = serving_note(folder.path / "sagemaker", ENDPOINT_NAME)
        self.model, self.labels = Path(), ""

    def together(self, *commands: Callable[[], None]) -> None:
        """Run them one after the other."""
        for command in commands:
            command()

    def run(self, name: str, arguments: Sequence[str], *_: object) -> None:
        """Note the arguments."""
        if name == "sam-deploy":
            (self.labels,) = [one for one in arguments if one.startswith("ClassLabels=")]
            return
        self.model = Path(arguments[arguments.index("--model") + 1])
        self.serve(f"s3://scones-models/{'shipped' if self.model == DEFAULT_MODEL else 'own'}.tar.gz")

    def serve(self, url: str) -> None:
        """Write the note of an endpoint that serves this archive."""
        self.note.parent.mkdir(parents=True, exist_ok=True)
        self.note.write_text(url)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[StateFolder, Commands]]:
    monkeypatch.setattr(application, "LocalSession", lambda _: boto3.Session(region_name="us-east-1"))
    monkeypatch.setattr(application, "_remove_stale_archives", lambda _: None)
    monkeypatch.setattr(application, "_describe_stack", lambda _, chosen: {"parameters": chosen})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    folder = StateFolder(tmp_path / "state")
    with mock_aws():
        yield folder, Commands(folder)


def deploy(cloud: tuple[StateFolder, Any], model: Path | None = None) -> str:
    """Deploy as `up` does; return the stack's labels."""
    running = Running("127.0.0.1", "http://x", "http://y", "key")
    return str(Application(*cloud, model).deploy(running).stack["parameters"]["ClassLabels"])


def test_a_model_of_the_users_own_and_its_labels_stay_until_another_is_named(
    cloud: tuple[StateFolder, Commands], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, commands = cloud
    model = write_model(tmp_path / "m", ["red", "blue"], names=["van", "truck"])
    own = package_model(model, tmp_path / "own.tar.gz")
    assert deploy(cloud) == "bicycle,motorcycle"
    assert deploy(cloud) == "bicycle,motorcycle"
    assert commands.model == DEFAULT_MODEL, "the shipped one follows this checkout"

    # The user deploys a model, by `up` or by `model deploy`: a plain `up` keeps it, and says so
    boto3.client("s3", "us-east-1").upload_file(str(own), "scones-models", "own.tar.gz")
    commands.serve("s3://scones-models/own.tar.gz")
    for _ in range(2):
        assert deploy(cloud) == "van,truck"
        assert commands.labels == 'ClassLabels="van,truck"'
        assert commands.model.read_bytes() == own.read_bytes()
        assert "keeping the model that served last" in capsys.readouterr().err

    # Another is named
    assert deploy(cloud, DEFAULT_MODEL) == "bicycle,motorcycle"
    assert deploy(cloud) == "bicycle,motorcycle"


def test_an_archive_that_was_erased_leaves_the_shipped_model(cloud: tuple[StateFolder, Commands]) -> None:
    cloud[1].serve("s3://scones-models/erased.tar.gz")
    assert deploy(cloud) == "bicycle,motorcycle"


def test_a_changed_function_changes_the_digest(tmp_path: Path) -> None:
    function = tmp_path / "functions" / "f" / "app.py"
    for folder in ("statemachine", "localcloud", "functions/f"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("template.yaml", "samconfig.toml", "localcloud/application.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    function.write_text("one")
    before = build_digest(tmp_path)
    assert build_digest(tmp_path) == before
    function.write_text("two")
    assert (changed := build_digest(tmp_path)) != before
    function.rename(function.with_name("other.py"))
    assert build_digest(tmp_path) != changed
