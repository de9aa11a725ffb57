"""The environment variables of each function: read once at start, with an error that names a wrong one."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sam_app import FOLDERS, FUNCTIONS, function_environment, load_function

WRONG: dict[tuple[str, str], list[str]] = {
    ("serialize_image", "MAX_OBJECT_BYTES"): ["", "25 MB", "0"],
    ("serialize_image", "MAX_PIXELS"): ["-5", "999999999999"],
    ("serialize_image", "LONGEST_SIDE"): ["512", "1e2"],
    ("classify_image", "ENDPOINT_NAME"): [" "],
    ("classify_image", "CLASS_LABELS"): ["", "bicycle", "bicycle,bicycle", "bicycle,,motorcycle"],
    ("filter_inference", "CLASS_LABELS"): ["bicycle,"],
    ("filter_inference", "CONFIDENCE_THRESHOLD"): ["", "85%", "nan", "1.01", "-0.1"],
}


@pytest.mark.parametrize(
    ("folder", "name", "value"), [(*place, value) for place in WRONG for value in WRONG[place]]
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
    bounded = "settings.limit_memory({'AWS_LAMBDA_FUNCTION_MEMORY_SIZE': '300'}); bytes(400 << 20)"
    call = [sys.executable, "-c", f"import settings; {bounded}"]
    folder = FUNCTIONS / "serialize_image"
    done = subprocess.run(call, check=False, cwd=folder, capture_output=True, text=True)
    assert done.stderr.rstrip().endswith("MemoryError")


HERE = f"python{sys.version_info.major}.{sys.version_info.minor}"
PROCESSOR = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]


@pytest.mark.parametrize(
    ("runtime", "architecture"), [(HERE, PROCESSOR), ("python3.10", PROCESSOR), (HERE, "riscv64")]
)
def test_only_a_build_for_this_python_and_processor_starts(
    tmp_path: Path, runtime: str, architecture: str
) -> None:
    function, stamp = load_function("serialize_image"), tmp_path / "build_target.json"
    function.settings.check_build(stamp)  # there is none in the source folder
    stamp.write_text(json.dumps({"python_runtime": runtime, "architecture": architecture}), encoding="utf-8")
    if (runtime, architecture) == (HERE, PROCESSOR):
        function.settings.check_build(stamp)
        return
    with pytest.raises(function.errors.BuildMismatch) as mismatch:
        function.settings.check_build(stamp)
    for shown in (f"PYTHON_RUNTIME={HERE} ARCHITECTURE={PROCESSOR} sam build", runtime, architecture):
        assert shown in str(mismatch.value)
