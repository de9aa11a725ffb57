"""The repaired ministack as a service: odd keys, many executions, and its life as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import lifecycle
from localcloud.access_guard import refusal, user_of
from localcloud.environment import ROOT
from localcloud.ministack.admission import RUNNING
from localcloud.service import StartError, free_port, wait_until_healthy
from localcloud.state import Running, StateFolder
from localcloud.steps import StepError
from tests.support.local_cloud import LocalCloud, bare_cloud, wait_until

ROLE = "arn:aws:iam::000000000000:role/test"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with bare_cloud(tmp_path_factory.mktemp("bare")) as cloud:
        yield cloud


def test_keys_of_every_kind_are_listed_with_their_versions(cloud: LocalCloud) -> None:
    keys = ["a b+c%20.jpg", "bell\x07.jpg", "esc\x1b[31m.jpg", "f\u00fcr/\u65e5.jpg", "nl\nhere.jpg", "\x01"]
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="odd-keys")
    s3.put_bucket_versioning(Bucket="odd-keys", VersioningConfiguration={"Status": "Enabled"})
    for key in keys:
        s3.put_object(Bucket="odd-keys", Key=key, Body=b"photo")
    s3.delete_object(Bucket="odd-keys", Key=keys[1])

    listed = s3.get_paginator("list_object_versions")
    pages = list(listed.paginate(Bucket="odd-keys", PaginationConfig={"PageSize": 2}))
    assert sorted(one["Key"] for page in pages for one in page.get("Versions", [])) == sorted(keys)
    assert [one["Key"] for page in pages for one in page.get("DeleteMarkers", [])] == [keys[1]]


def test_executions_that_wait_or_have_children_hold_up_no_others(cloud: LocalCloud) -> None:
    workflow, names = cloud.client("stepfunctions"), ("child", "parent", "waiting")
    arns = {name: f"arn:aws:states:us-east-1:000000000000:stateMachine:{name}" for name in names}
    nested = {"StateMachineArn": arns["child"], "Input": "{% $states.input %}"}
    synchronously = {"Resource": "arn:aws:states:::states:startExecution.sync:2", "Arguments": nested}
    states = {
        "child": {"Type": "Wait", "Seconds": 1},
        "parent": {"Type": "Task", **synchronously, "TimeoutSeconds": 60},
        "waiting": {"Type": "Wait", "Seconds": 3600},
    }
    for name, state in states.items():
        machine = {"QueryLanguage": "JSONata", "StartAt": "Only", "States": {"Only": {**state, "End": True}}}
        workflow.create_state_machine(name=name, roleArn=ROLE, definition=json.dumps(machine))

    def start(name: str) -> list[str]:
        request = {"stateMachineArn": arns[name], "input": "{}"}
        return [workflow.start_execution(**request)["executionArn"] for _ in range(2 * RUNNING)]

    def statuses(started: list[str]) -> set[str]:
        return {workflow.describe_execution(executionArn=arn)["status"] for arn in started}

    waiting, parents = start("waiting"), start("parent")
    wait_until(lambda: statuses(parents) == {"SUCCEEDED"}, 120)
    assert statuses(waiting) == {"RUNNING"}
    for arn in waiting:
        workflow.stop_execution(executionArn=arn)


def test_ports_that_are_taken_are_left_alone(cloud: LocalCloud, tmp_path: Path) -> None:
    taken = int(cloud.running.aws_url.rpartition(":")[2])
    assert free_port("127.0.0.1", taken) != taken
    with bare_cloud(tmp_path) as second:
        assert second.running.aws_url != cloud.running.aws_url
        assert second.running.sagemaker_url != cloud.running.sagemaker_url
        second.client("s3").create_bucket(Bucket="only-in-the-second")
        names = [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]
        assert "only-in-the-second" not in names


def test_somebody_elses_service_on_the_port_is_not_taken_for_ours(cloud: LocalCloud) -> None:
    """Two local clouds that start at the same moment may find the same port free."""
    with subprocess.Popen(["sleep", "60"]) as ours:
        url = f"{cloud.running.aws_url}/_ministack/health"
        wait_until_healthy("ministack", ours, url, cloud.running.instance)
        threading.Timer(0.5, ours.kill).start()
        with pytest.raises(StartError, match="ended with status"):
            wait_until_healthy("ministack", ours, url, "another-instance")


def test_the_users_own_processes_are_answered_with_any_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        served, _ = server.accept()
    with client, served:
        other_end = served.getpeername()
        known = os.geteuid() if Path("/proc/net/tcp").exists() else None  # elsewhere nobody can tell
        assert user_of(other_end) == known
        signed = {"host": "127.0.0.1", "authorization": "AWS test:signature"}
        assert (refusal(signed, "/", "", "secret", other_end) is None) is (known is not None)
        assert refusal({"host": "127.0.0.1"}, "/", "", "secret", other_end), "a page cannot sign"
        assert refusal({**signed, "origin": "null"}, "/", "", "secret", other_end)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartError, match=r"192\.0\.2\.1"):
        free_port("192.0.2.1", 0)


OWNER = """
import sys, time
from pathlib import Path
from localcloud import lifecycle
from localcloud.state import StateFolder
lifecycle.start(StateFolder(Path(sys.argv[1])), "127.0.0.1", owned=True)
print("up", flush=True)
time.sleep(600)
"""
CAUSES = {
    "owner": "",
    "supervisor": "killed",
    "ministack": "ministack ended with status -9",
    "sagemaker": "sagemaker ended with status -9",
}


@pytest.mark.parametrize("victim", CAUSES)
def test_nothing_outlives_a_process_that_is_killed_and_requests_name_the_cause(
    tmp_path: Path, victim: str
) -> None:
    folder = StateFolder(tmp_path)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        running = folder.load()
        assert running is not None
        client = lifecycle.session(folder, running).client("s3")
        assert client.list_buckets()["Buckets"] == []

        os.kill({**running.pids, "owner": owner.pid}[victim], signal.SIGKILL)

        wait_until(lambda: not any(_alive(pid) for pid in running.pids.values()), seconds=30)
        with pytest.raises(StepError, match=f"the local cloud has ended: .*{CAUSES[victim]}"):
            client.list_buckets()
        owner.kill()
    assert folder.load() is None


def test_what_a_crash_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    (tmp_path / "tmp" / "half-written").mkdir(parents=True)
    (tmp_path / "sagemaker" / "versions" / "old").mkdir(parents=True)
    (tmp_path / "lock").write_text("999999")
    url = "http://127.0.0.1:1"
    folder.save(Running("127.0.0.1", url, url, "key", instance="gone", pids={"supervisor": 1}))
    assert folder.load() is None
    with bare_cloud(tmp_path) as again:
        assert again.client("s3").list_buckets()["Buckets"] == []
        assert not (tmp_path / "sagemaker" / "versions" / "old").exists()
    assert not (tmp_path / "tmp").exists()


def _alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to ask does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()[:1] not in {"", "Z"}
