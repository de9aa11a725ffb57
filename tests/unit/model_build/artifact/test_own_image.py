"""Our serving image: its tag names its content, and its Dockerfile runs nothing."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from model_build.__main__ import main
from model_build.artifact import own_image
from model_build.artifact.serving_packages import Target
from model_build.errors import ModelBuildError

DOCKERFILE = own_image.CONTAINER / "Dockerfile"


class Docker:
    """Stands in for the program.

    Args:
        answers: standard output by the first argument.
        error: what it fails with.
    """

    def __init__(self, error: str = "", python: str = "3.13") -> None:
        self.error = error
        self.python = python
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Answer a command."""
        self.commands.append(command)
        if self.error:
            return subprocess.CompletedProcess(command, 1, "", self.error)
        return subprocess.CompletedProcess(command, 0, self.python if command[1] == "run" else "", "")


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Docker:
    made = Docker()
    monkeypatch.setattr("subprocess.run", made)
    (tmp_path / "cache" / "onnxruntime").mkdir(parents=True)
    monkeypatch.setattr(own_image, "packages_for", lambda *_: tmp_path / "cache")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return made


def test_the_tag_changes_with_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    for path in own_image.CONTEXT_FILES:
        copies.append(tmp_path / path.name)
        copies[-1].write_bytes(path.read_bytes())
    before = own_image.tag("x86_64")

    monkeypatch.setattr(own_image, "CONTEXT_FILES", tuple(copies))
    assert own_image.tag("x86_64") == before
    assert own_image.tag("arm64") != before
    copies[0].write_text("FROM scratch", encoding="utf-8")
    assert own_image.tag("x86_64") != before
    assert re.fullmatch(r"[0-9a-f]{12}-x86_64", before)


def test_the_dockerfile_runs_nothing_so_that_any_processor_can_be_built_for() -> None:
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    instructions = {line.split()[0] for line in lines if line and not line.startswith(("#", " "))}

    assert instructions == {"ARG", "FROM", "ENV", "COPY", "LABEL", "EXPOSE", "USER", "ENTRYPOINT"}


def test_the_default_base_image_is_said_once_in_each_place() -> None:
    assert f"ARG BASE_IMAGE={own_image.DEFAULT_BASE_IMAGE}" in DOCKERFILE.read_text(encoding="utf-8")
    assert f"python:{own_image.DEFAULT_PYTHON}-" in own_image.DEFAULT_BASE_IMAGE


def test_the_context_is_what_the_dockerfile_copies(docker: Docker, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    own_image.write_context(Target("3.13"), folder)

    copied = re.findall(r"^COPY (\S+)", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(copied) == ["packages", "server.py"]
    assert all((folder / name).exists() for name in copied)
    assert docker.commands == []


def test_build_passes_base_image_and_platform_and_checks_the_python(docker: Docker) -> None:
    name = own_image.build(Target("3.13", "x86_64"), "team/python:1")

    build, version, imports = docker.commands
    assert build[build.index("--platform") + 1] == "linux/amd64"
    assert build[build.index("--build-arg") + 1] == "BASE_IMAGE=team/python:1"
    assert build[build.index("--tag") + 1] == name == f"scones-serving:{own_image.tag('x86_64')}"
    assert version[1] == imports[1] == "run"
    assert "onnxruntime" in imports[-1]


def test_an_image_for_another_processor_is_not_run(docker: Docker) -> None:
    own_image.build(Target("3.13", "arm64"))

    (build,) = docker.commands
    assert build[build.index("--platform") + 1] == "linux/arm64"


def test_another_python_than_the_packages_are_for_is_refused(docker: Docker) -> None:
    docker.python = "3.12"

    with pytest.raises(ModelBuildError, match=r"has Python 3\.12, not 3\.13: give --python 3\.12"):
        own_image.build(Target("3.13"))


def test_a_failing_build_is_one_line(docker: Docker, capsys: pytest.CaptureFixture[str]) -> None:
    docker.error = "Step 1\n\nno such image: team/python\n"

    assert main(["image", "build", "--base-image", "team/python"]) == 1

    assert capsys.readouterr().err.strip().endswith("`docker build` failed: no such image: team/python")


def test_without_docker_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, docker: Docker, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("docker")

    monkeypatch.setattr("subprocess.run", missing)

    assert main(["image", "build"]) == 1
    assert "docker is not installed" in capsys.readouterr().err
    assert docker.commands == []
