"""The variables that lead a shell and child processes to a local cloud."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.environment import ROOT, Addresses, build_target, env_script, isolated_environment

ADDRESSES = Addresses("127.0.0.1", "http://127.0.0.1:4566", "http://127.0.0.1:4567", "key")


def shell(script: str, folder: Path, **variables: str) -> dict[str, str]:
    """Run a script of `sh`, in which `$file` is env.sh; return the variables that it exports at its end."""
    (folder / "env.sh").write_text(env_script(ADDRESSES))
    command = ["sh", "-euc", f"file={folder}/env.sh\n{script}\nexec env -0"]
    environment = {"PATH": os.environ["PATH"], **variables}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in shown.split("\0") if line)


def test_env_script_works_in_a_shell_and_removes_the_users_account(tmp_path: Path) -> None:
    account = {"AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "secret", "NO_PROXY": "example.org"}
    seen = shell('. "$file"', tmp_path, **account)
    assert seen["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert seen["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] == "http://127.0.0.1:4567"
    assert (seen["AWS_ACCESS_KEY_ID"], seen["AWS_SECRET_ACCESS_KEY"]) == ("key", "key")
    assert (seen["SAM_CLI_TELEMETRY"], seen["ORT_DISABLE_TELEMETRY"]) == ("0", "1")
    assert seen["NO_PROXY"] == "example.org,127.0.0.1,localhost,127.0.0.1"
    assert seen["PATH"] == f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert "AWS_PROFILE" not in seen
    assert "AWS_SESSION_TOKEN" not in seen


@pytest.mark.parametrize(
    "script",
    ['. "$file"; scones_deactivate', '. "$file"; . "$file"; scones_deactivate', ":"],
    ids=["once", "sourced twice", "never sourced"],
)
def test_deactivating_restores_the_shell(tmp_path: Path, script: str) -> None:
    before = {"AWS_PROFILE": "mine", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "", "NO_PROXY": "a b"}
    seen = shell(script, tmp_path, **before)
    for name in ("PWD", "SHLVL", "_", "OLDPWD"):  # the shell's own
        seen.pop(name, None)
    assert seen == {"PATH": os.environ["PATH"], **before}


@pytest.mark.parametrize(
    "name",
    [
        *("LAMBDA_STRICT", "USE_SSL", "PERSIST_STATE", "LAMBDA_ACCOUNT_CONCURRENCY", "GATEWAY_PORT"),
        *("AWS_PROFILE", "SAM_CLI_POLL_DELAY", "BOTO_CONFIG", "PYTHONPATH", "PYTHONSTARTUP", "MAKEFLAGS"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "SAM_CLI_TELEMETRY", "ORT_DISABLE_TELEMETRY"),
    ],
)
def test_the_users_variables_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = isolated_environment(ADDRESSES).get(name)
    monkeypatch.setenv(name, "the user's")
    monkeypatch.setenv("NO_PROXY", "example.org")
    environment = isolated_environment(ADDRESSES)
    assert "the user's" not in environment.values()
    assert environment.get(name) == usual
    assert environment["NO_PROXY"] == "example.org,127.0.0.1,localhost,127.0.0.1"
    fixed = [environment[one] for one in ("SAM_CLI_TELEMETRY", "ORT_DISABLE_TELEMETRY", "AWS_CONFIG_FILE")]
    assert fixed == ["0", "1", os.devnull]
    assert "AWS_ENDPOINT_URL" not in isolated_environment(None)


def test_what_programs_need_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ("PATH", "HOME", "LC_ALL", "HTTPS_PROXY", "SSL_CERT_FILE", "PIP_INDEX_URL", "NO_COLOR")
    for name in needed:
        monkeypatch.setenv(name, f"my {name}")
    assert {name: isolated_environment(None).get(name) for name in needed} == {
        name: f"my {name}" for name in needed
    }


def test_the_functions_are_built_with_this_machines_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert build_target() == {
        "PYTHON_RUNTIME": f"python3.{sys.version_info.minor}",
        "ARCHITECTURE": "arm64",
        "WHEELS": "host",
        "SCONES_WHEELS": str(ROOT / "build" / "wheels"),
    }
