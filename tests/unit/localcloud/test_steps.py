"""Other programs as steps: what is shown of a failure, and how they are ended."""

import os
import threading
import time
from pathlib import Path

import pytest

from localcloud.steps import StepError, Steps


def run(steps: Steps, folder: Path, *command: str) -> None:
    steps.run("build", list(command), dict(os.environ), folder)


def test_a_failed_step_shows_the_end_of_its_log_and_a_missing_program_is_named(tmp_path: Path) -> None:
    with Steps(tmp_path) as steps:
        with pytest.raises(StepError, match=r"status 3.*build\.log:\n +what went wrong"):
            run(steps, tmp_path, "sh", "-c", "echo what went wrong; exit 3")
        with pytest.raises(StepError, match=r"/no/such/sam is missing: use .*make"):
            run(steps, tmp_path, "/no/such/sam")


def test_after_a_stop_no_step_begins(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.stop()
    with pytest.raises(StepError, match="interrupted"):
        run(steps, tmp_path, "touch", str(tmp_path / "made"))
    assert not (tmp_path / "made").exists()


def test_leaving_early_ends_what_runs(tmp_path: Path) -> None:
    began = threading.Event()

    def sleep() -> None:
        began.set()
        run(steps, tmp_path, "sleep", "600")

    with Steps(tmp_path) as steps:
        future = steps.submit(sleep)
        assert began.wait(10)
        while not (tmp_path / "build.log").exists():
            time.sleep(0.01)
    with pytest.raises(StepError):
        future.result(timeout=0)


def test_work_side_by_side_is_done_when_all_of_it_is_and_the_first_failure_ends_it(tmp_path: Path) -> None:
    done: list[str] = []
    with Steps(tmp_path) as steps:
        steps.together(lambda: done.append("one"), lambda: done.append("two"))
        assert sorted(done) == ["one", "two"]
        with pytest.raises(StepError, match="status 3"):
            steps.together(
                lambda: run(steps, tmp_path, "sh", "-c", "exit 3"),
                lambda: steps.run("slow", ["sleep", "600"], dict(os.environ), tmp_path),
            )
