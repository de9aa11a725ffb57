"""The environment variables of each function: read once at start, with an error that names a wrong one."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sam_app import FOLDERS, FUNCTIONS, function_environment, load_function


@pytest.mark.parametrize(
    ("folder", "name", "value"),
    [
        ("serialize_image", "MAX_OBJECT_BYTES", ""),
        ("serialize_image", "MAX_OBJECT_BYTES", "25 MB"),
        ("serialize_image", "MAX_OBJECT_BYTES", "0"),
        ("serialize_image", "MAX_PIXELS", "-5"),
        ("serialize_image", "MAX_PIXELS", "999999999999"),
        ("serialize_image", "LONGEST_SIDE", "512"),
        ("serialize_image", "LONGEST_SIDE", "1e2"),
        ("classify_image", "ENDPOINT_NAME", " "),
        ("classify_image", "CLASS_LABELS", ""),
        ("classify_image", "CLASS_LABELS", "bicycle"),
        ("classify_image", "CLASS_LABELS", "bicycle,bicycle"),
        ("classify_image", "CLASS_LABELS", "bicycle,,motorcycle"),
        ("filter_inference", "CLASS_LABELS", "bicycle,"),
        ("filter_inference", "CONFIDENCE_THRESHOLD", ""),
        ("filter_inference", "CONFIDENCE_THRESHOLD", "85%"),
        ("filter_inference", "CONFIDENCE_THRESHOLD", "nan"),
        ("filter_inference", "CONFIDENCE_THRESHOLD", "1.01"),
        ("filter_inference", "CONFIDENCE_THRESHOLD", "-0.1"),
    ],
)
def test_a_wrong_variable_is_named_at_the_start(folder: str, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"environment variable {name} is"):
        load_function(folder, {**function_environment(folder), name: value})


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_missing_variable_is_named_at_the_start(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in function_environment(folder):
        monkeypatch.delenv(name, raising=False)
        rest = {k: v for k, v in function_environment(folder).items() if k != name}
        with pytest.raises(ValueError, match=f"environment variable {name}"):
            load_function(folder, rest)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound a process's memory so")
def test_what_needs_more_memory_than_the_function_has_raises() -> None:
    code = (
        "import settings; settings.limit_memory({'AWS_LAMBDA_FUNCTION_MEMORY_SIZE': '300'}); bytes(400 << 20)"
    )
    folder = FUNCTIONS / "serialize_image"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=folder, capture_output=True, text=True
    )
    assert done.stderr.rstrip().endswith("MemoryError")


def stamp(path: Path, runtime: str, architecture: str) -> Path:
    file = path / "build_target.json"
    file.write_text(json.dumps({"python_runtime": runtime, "architecture": architecture}), encoding="utf-8")
    return file


HERE = f"python{sys.version_info.major}.{sys.version_info.minor}"
PROCESSOR = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]


def test_a_build_for_this_python_and_processor_is_accepted(tmp_path: Path) -> None:
    check_build = load_function("serialize_image").settings.check_build
    check_build(stamp(tmp_path, HERE, PROCESSOR))
    check_build(tmp_path / "no-build-target.json")


@pytest.mark.parametrize(("runtime", "architecture"), [("python3.10", PROCESSOR), (HERE, "riscv64")])
def test_a_build_for_another_target_says_how_to_build(
    tmp_path: Path, runtime: str, architecture: str
) -> None:
    function = load_function("serialize_image")
    with pytest.raises(function.errors.BuildMismatch) as mismatch:
        function.settings.check_build(stamp(tmp_path, runtime, architecture))
    assert f"PYTHON_RUNTIME={HERE} ARCHITECTURE={PROCESSOR} sam build" in str(mismatch.value)
    assert runtime in str(mismatch.value)
    assert architecture in str(mismatch.value)
