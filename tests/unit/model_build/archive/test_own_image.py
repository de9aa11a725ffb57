"""Our serving image: its tag names its content, and its Dockerfile runs nothing."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from localcloud.application import provide_serving_image
from model_build.__main__ import main
from model_build.archive import own_image
from model_build.archive.serving_packages import Target
from model_build.errors import ModelBuildError, RefusedError

DOCKERFILE = own_image.CONTAINER / "Dockerfile"


class Docker:
    """Stands in for the program, which fails with an error if there is one."""

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

    assert instructions == {"ARG", "FROM", "ENV", "COPY", "LABEL", "EXPOSE", "ENTRYPOINT"}


def test_the_default_base_image_is_said_once_in_each_place() -> None:
    assert f"ARG BASE_IMAGE={own_image.DEFAULT_BASE_IMAGE}" in DOCKERFILE.read_text(encoding="utf-8")
    assert f"python:{own_image.DEFAULT_PYTHON}-" in own_image.DEFAULT_BASE_IMAGE


def test_the_context_is_what_the_dockerfile_copies_for_any_user_to_read(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages, context = tmp_path / "made", tmp_path / "context"
    (packages / "anyio").mkdir(parents=True, mode=0o700)
    (packages / "anyio" / "to_thread.py").touch(mode=0o600)
    context.mkdir()
    monkeypatch.setattr(own_image, "packages_for", lambda *_: packages)
    own_image.write_context(Target("3.13"), context)
    copied = re.findall(r"^COPY (\S+)", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(copied) == ["packages", "server.py"]
    assert all((context / name).exists() for name in copied)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (context / "packages").rglob("*")}
    assert modes == {"anyio": 0o755, "to_thread.py": 0o644}
    assert docker.commands == []


def test_build_passes_base_image_and_platform_and_checks_the_python(docker: Docker) -> None:
    name = own_image.build(Target("3.13", "x86_64"), "team/python:1")

    _, build, version, imports = docker.commands
    assert build[1:3] == ["buildx", "build"]
    assert {"--provenance=false", "--sbom=false", "type=docker,oci-mediatypes=false"} <= set(build)
    assert build[build.index("--platform") + 1] == "linux/amd64"
    assert build[build.index("--build-arg") + 1] == "BASE_IMAGE=team/python:1"
    assert build[build.index("--tag") + 1] == name == f"scones-serving:{own_image.tag('x86_64')}"
    assert version[1] == imports[1] == "run"
    assert "onnxruntime" in imports[-1]


def test_an_image_for_another_processor_is_not_run(docker: Docker) -> None:
    own_image.build(Target("3.13", "arm64"))

    _, build = docker.commands
    assert build[build.index("--platform") + 1] == "linux/arm64"


def test_another_python_than_the_packages_are_for_is_refused(docker: Docker) -> None:
    docker.python = "3.12"

    with pytest.raises(ModelBuildError, match=r"has Python 3\.12, not 3\.13: give --python 3\.12"):
        own_image.build(Target("3.13"))


def test_without_buildx_the_older_builder_knows_no_attestations(
    docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if command[1] == "buildx":
            return subprocess.CompletedProcess(command, 1, "", "docker: unknown command: docker buildx")
        return docker(command, **options)

    monkeypatch.setattr("subprocess.run", run)
    own_image.build(Target("3.13", "arm64"))

    assert docker.commands[0][1:3] == ["build", "--quiet"]


def test_a_failing_build_is_one_line(
    docker: Docker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("docker")

    docker.error = "Step 1\n\nno such image: team/python\n"
    assert main(["image", "build", "--base-image", "team/python"]) == 1
    assert capsys.readouterr().err.strip().endswith("`docker build` failed: no such image: team/python")
    monkeypatch.setattr("subprocess.run", missing)
    assert main(["image", "build"]) == 1
    assert "docker is not installed" in capsys.readouterr().err


HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def test_push_logs_in_tags_and_pushes_once(session: boto3.Session, docker: Docker) -> None:
    ecr = session.client("ecr")
    ecr.create_repository(repositoryName="scones-model-serving")
    name = f"{own_image.REPOSITORY}:{own_image.tag('x86_64')}"
    uri = f"{HOST}/scones-model-serving:{own_image.tag('x86_64')}"

    assert own_image.push(session, name, f"{HOST}/scones-model-serving") == uri

    assert [call[1] for call in docker.commands] == ["login", "tag", "push"]
    assert docker.commands[0][-1] == HOST
    assert docker.commands[1][2:] == [name, uri]
    assert docker.commands[2][-1] == uri
    provide_serving_image(ecr, "scones-model-serving")
    assert own_image.push(session, name, f"{HOST}/scones-model-serving") == uri
    assert len(docker.commands) == 3


def test_an_image_that_sagemaker_refuses_is_refused_though_its_tag_exists(
    session: boto3.Session, docker: Docker
) -> None:
    ecr = session.client("ecr")
    ecr.create_repository(repositoryName="models")
    oci = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    ecr.put_image(repositoryName="models", imageManifest=json.dumps(oci), imageTag="t")
    with pytest.raises(RefusedError, match=r"oci\.image\.index.*SageMaker refuses.*batch-delete-image"):
        own_image.push(session, "scones-serving:t", f"{HOST}/models")
    with pytest.raises(RefusedError, match=f"{HOST}/none does not exist: give --stack-name"):
        own_image.push(session, "scones-serving:t", f"{HOST}/none")
    assert docker.commands == []
