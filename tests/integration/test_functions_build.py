"""`sam build` makes each function for the runtime and processor asked for, with what it needs and no more."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.environment import host_architecture, host_runtime
from tests.support.lambda_runtime import lambda_runtime
from tests.support.sam_app import EVENTS, LOGICAL_IDS, ROOT

HERE, PROCESSOR = host_runtime(), host_architecture()
TARGET = {"PYTHON_RUNTIME": HERE, "ARCHITECTURE": PROCESSOR}
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


def run(command: list[str], folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHON": sys.executable, **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def make(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Build SerializeImage as SAM does: its makefile's target, with ARTIFACTS_DIR set."""
    command = ["make", "--no-print-directory", "build-SerializeImageFunction"]
    return run(command, ROOT / "functions" / "serialize_image", ARTIFACTS_DIR=str(folder), **variables)


# One case each for the oldest and the newest Python, and for either processor.
@pytest.mark.parametrize(("runtime", "architecture"), [("python3.11", "x86_64"), ("python3.14", "arm64")])
def test_pillow_is_built_for_the_target_and_not_for_this_machine(
    tmp_path: Path, runtime: str, architecture: str
) -> None:
    built = make(tmp_path, PYTHON_RUNTIME=runtime, ARCHITECTURE=architecture)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("pillow-*.dist-info/WHEEL")
    tags = re.findall(r"^Tag: (\S+)$", wheel.read_text(encoding="utf-8"), re.MULTILINE)
    python = f"cp{runtime.removeprefix('python').replace('.', '')}"
    assert f"{python}-{python}-manylinux_2_17_{MACHINES[architecture]}" in tags
    compiled = [path.name for path in tmp_path.glob("PIL/_imaging.*.so")]
    assert len(compiled) == 1
    assert f"cpython-{python[2:]}-{MACHINES[architecture]}" in compiled[0]
    # Lambda's python3.11 runs on Amazon Linux 2, for which there is no HEIC decoder.
    assert bool(list(tmp_path.glob("_pillow_heif.*.so"))) == (runtime != "python3.11")
    stamp = json.loads((tmp_path / "build_target.json").read_text(encoding="utf-8"))
    assert stamp == {"python_runtime": runtime, "architecture": architecture}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PYTHON_RUNTIME": "python3.10"}, "PYTHON_RUNTIME=python3.10 is none of python3.11"),
        ({"PYTHON_RUNTIME": "3.13"}, "PYTHON_RUNTIME=3.13 is none of python3.11"),
        ({"ARCHITECTURE": "aarch64"}, "ARCHITECTURE=aarch64 is neither x86_64 nor arm64"),
    ],
)
def test_a_wrong_target_is_refused_before_anything_is_fetched(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    built = make(tmp_path, **variables)
    assert built.returncode != 0
    assert message in built.stderr
    assert not list(tmp_path.iterdir())


def test_without_any_pip_the_build_says_what_it_lacks(tmp_path: Path) -> None:
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(11, 15))):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    built = make(tmp_path / "out", PATH=path, PYTHON="", VIRTUAL_ENV="")
    assert built.returncode != 0
    assert "no Python with pip found: name one" in built.stderr


def test_a_folder_with_an_odd_name_is_built_into_and_later_without_a_network(tmp_path: Path) -> None:
    folder = tmp_path / "$HOME $(USER) $$, it's r&d (ü)"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    target = {**TARGET, "WHEELS": "host", "SCONES_WHEELS": str(folder / "wheels"), "PYTHON": str(python)}
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_NO_INDEX": "1"}
    files = []
    for name, variables in (("first", {}), ("second", offline)):
        (folder / name).mkdir()
        built = make(folder / name, **target, **variables)
        assert built.returncode == 0, built.stderr
        files.append(sorted(path.name for path in (folder / name).rglob("*")))
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert {"app.py", "build_target.json", "PIL", "pillow_heif"} <= set(files[0])
    assert files[0] == files[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    folders = ("--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache"))
    overrides = ("--parameter-overrides", f"PythonRuntime={HERE} Architecture={PROCESSOR}")
    command = [str(Path(sys.executable).with_name("sam")), "build", *folders, *overrides]
    result = run(command, ROOT, **TARGET, SAM_CLI_TELEMETRY="0")
    assert result.returncode == 0, result.stderr
    return folder / "build"


def test_only_what_is_needed_is_bundled(built: Path) -> None:
    for folder, name in LOGICAL_IDS.items():
        top = built / name
        files = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
        ours = {path.name for path in (ROOT / "functions" / folder).glob("*.py")}
        assert ours <= files
        extra = {file for file in files - ours if not file.startswith(("PIL/", "pillow"))}
        assert extra == ({"build_target.json"} if folder == "serialize_image" else set())
        assert not [one for one in files if re.search(r"boto|__pycache__|/tests/|\.pyc$", one)]


def test_the_built_function_runs_where_it_was_built_for(built: Path, tmp_path: Path) -> None:
    # The file is not there: that is found out only after Pillow was loaded.
    event = json.loads((EVENTS / "serialize_image" / "no_key.json").read_text(encoding="utf-8"))
    code = built / LOGICAL_IDS["serialize_image"]
    with lambda_runtime("serialize_image", {}, tmp_path / "log", code=code) as invoke:
        assert invoke(event)["errorType"] == "ObjectNotFound"


def test_a_function_built_for_another_python_says_what_to_do(built: Path, tmp_path: Path) -> None:
    code = tmp_path / "function"
    code.mkdir()
    for path in (built / LOGICAL_IDS["serialize_image"]).iterdir():
        (code / path.name).symlink_to(path)
    (code / "build_target.json").unlink()
    stamp = {"python_runtime": "python3.10", "architecture": PROCESSOR}
    (code / "build_target.json").write_text(json.dumps(stamp), encoding="utf-8")
    with lambda_runtime("serialize_image", {}, tmp_path / "log", code=code) as invoke:
        answer = invoke({})
    assert answer["errorType"] == "BuildMismatch"
    assert f"PYTHON_RUNTIME={HERE}" in answer["errorMessage"]
