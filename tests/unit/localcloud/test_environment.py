"""What a shell and child processes are told of a local cloud."""

import os
import subprocess
from pathlib import Path

import pytest

from localcloud.environment import Addresses, env_script, isolated_environment

ADDRESSES = Addresses("127.0.0.1", "http://127.0.0.1:4566", "http://127.0.0.1:4567")


def test_env_script_works_in_a_shell_and_removes_the_users_account(tmp_path: Path) -> None:
    (tmp_path / "env.sh").write_text(env_script(ADDRESSES))
    shown = subprocess.run(
        ["sh", "-c", f'. "{tmp_path}/env.sh"; env'],
        env={"PATH": os.environ["PATH"], "AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "secret"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:4566\n" in shown
    assert "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:4567\n" in shown
    assert "SAM_CLI_TELEMETRY=0\n" in shown
    assert "AWS_PROFILE" not in shown
    assert "AWS_SESSION_TOKEN" not in shown


def test_children_see_nothing_of_the_users_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-real-one")
    monkeypatch.setenv("SAM_CLI_TELEMETRY", "1")
    monkeypatch.setenv("NO_PROXY", "example.org")

    environment = isolated_environment(ADDRESSES)

    assert "AWS_PROFILE" not in environment
    assert "a-real-one" not in environment.values()
    assert environment["SAM_CLI_TELEMETRY"] == "0"
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert environment["NO_PROXY"] == "example.org,127.0.0.1,localhost,127.0.0.1"
    assert environment["AWS_CONFIG_FILE"] == os.devnull
    assert "AWS_ENDPOINT_URL" not in isolated_environment(None)
