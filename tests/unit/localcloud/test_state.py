"""The state folder: what counts as running, and what a shell is told."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from localcloud.application import ROOT, build_digest, parameters
from localcloud.state import Running, StateFolder, env_script, isolated_environment
from localcloud.steps import StepError, Steps

RUNNING = Running("i", "127.0.0.1", "http://127.0.0.1:4566", "http://127.0.0.1:4567")


def test_nothing_runs_in_a_new_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "new")
    assert folder.supervisor() is None
    assert folder.load() is None
    assert not (tmp_path / "new").exists(), "looking must not make the folder"


def test_a_state_file_without_a_living_supervisor_does_not_count(tmp_path: Path) -> None:
    """What a crash or a reboot leaves behind."""
    folder = StateFolder(tmp_path)
    lock = folder.lock_as_supervisor()
    assert lock is not None
    folder.save(RUNNING)
    assert folder.load() == RUNNING
    assert folder.supervisor() == os.getpid()

    lock.close()  # as the system does when a process ends, however it ends

    assert (tmp_path / "state.json").exists()
    assert folder.load() is None
    assert folder.supervisor() is None


def test_two_supervisors_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    lock = folder.lock_as_supervisor()
    assert StateFolder(tmp_path).lock_as_supervisor() is None
    assert lock is not None
    lock.close()
    again = StateFolder(tmp_path).lock_as_supervisor()
    assert again is not None
    again.close()


def test_clear_leaves_no_word_of_a_running_cloud(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.save(RUNNING)
    assert json.loads((tmp_path / "state.json").read_text())["aws_url"] == RUNNING.aws_url
    folder.clear()
    folder.clear()
    assert list(tmp_path.iterdir()) == []


def test_env_script_works_in_a_shell_and_forgets_the_users_account(tmp_path: Path) -> None:
    (tmp_path / "env.sh").write_text(env_script(RUNNING))
    shown = subprocess.run(
        ["sh", "-c", f'. "{tmp_path}/env.sh"; env'],
        env={"PATH": os.environ["PATH"], "AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "secret"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:4566\n" in shown
    assert "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:4567\n" in shown
    assert "AWS_PROFILE" not in shown
    assert "AWS_SESSION_TOKEN" not in shown


def test_children_see_nothing_of_the_users_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-real-one")
    monkeypatch.setenv("SAM_CLI_TELEMETRY", "1")
    monkeypatch.setenv("NO_PROXY", "example.org")

    environment = isolated_environment(RUNNING)

    assert "AWS_PROFILE" not in environment
    assert "a-real-one" not in environment.values()
    assert environment["SAM_CLI_TELEMETRY"] == "0"
    assert environment["NO_PROXY"] == "example.org,127.0.0.1,localhost,127.0.0.1"
    assert environment["AWS_CONFIG_FILE"] == os.devnull
    assert "AWS_ENDPOINT_URL" not in isolated_environment(None)


def test_the_stack_takes_samconfigs_local_parameters_and_this_machines() -> None:
    chosen = parameters()
    assert chosen["BucketName"] == "scones-photos"
    assert chosen["PythonRuntime"].startswith("python3.")
    assert chosen["Architecture"] in {"x86_64", "arm64"}


def test_a_changed_function_changes_the_builds_digest(tmp_path: Path) -> None:
    for name in ("template.yaml", "samconfig.toml", "localcloud/application.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    function = tmp_path / "functions" / "f" / "app.py"
    function.parent.mkdir(parents=True)
    (tmp_path / "statemachine").mkdir()
    function.write_text("one")
    before = build_digest(tmp_path)
    assert build_digest(tmp_path) == before

    function.write_text("two")
    changed = build_digest(tmp_path)
    assert changed != before
    function.rename(function.with_name("other.py"))
    assert build_digest(tmp_path) != changed


def test_a_failed_step_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with Steps(tmp_path) as steps, pytest.raises(StepError, match="status 3") as caught:
        steps.run("build", ["sh", "-c", "echo what went wrong; exit 3"], dict(os.environ), tmp_path)
    assert "what went wrong" in str(caught.value)
    assert "build.log" in str(caught.value)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with Steps(tmp_path) as steps, pytest.raises(StepError, match=r"/no/such/sam is missing: use .*make"):
        steps.run("build", ["/no/such/sam"], dict(os.environ), tmp_path)


def test_after_a_stop_no_step_begins(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.stop()
    with pytest.raises(StepError, match="interrupted"):
        steps.run("late", ["touch", str(tmp_path / "made")], dict(os.environ), tmp_path)
    assert not (tmp_path / "made").exists()
