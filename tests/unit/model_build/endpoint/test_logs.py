"""Retention of log groups: ours expire, those of others are left alone."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from model_build.endpoint.logs import (
    create_with_retention,
    delete_log_group,
    find_log_group,
    log_tail,
    set_retention,
)

GROUP = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.Session(region_name="eu-west-1")


def retention(session: boto3.Session, group: str = GROUP) -> Any:
    return (find_log_group(session, group) or {}).get("retentionInDays")


def test_a_new_group_expires(session: boto3.Session) -> None:
    assert create_with_retention(session, GROUP) == ""
    assert retention(session) == 30


def test_a_shared_group_that_exists_is_left_alone(session: boto3.Session) -> None:
    session.client("logs").create_log_group(logGroupName=GROUP)

    assert create_with_retention(session, GROUP) == ""

    assert retention(session) is None


@pytest.mark.parametrize(("before", "after"), [(None, 30), (365, 365)])
def test_a_group_of_ours_gets_a_retention_unless_somebody_chose_one(
    session: boto3.Session, before: int | None, after: int
) -> None:
    session.client("logs").create_log_group(logGroupName=GROUP)
    if before:
        session.client("logs").put_retention_policy(logGroupName=GROUP, retentionInDays=before)

    assert set_retention(session, GROUP) == ""

    assert retention(session) == after


def test_a_group_whose_name_begins_alike_is_another(session: boto3.Session) -> None:
    session.client("logs").create_log_group(logGroupName=f"{GROUP}-other")

    assert find_log_group(session, GROUP) is None


def test_what_is_not_permitted_is_a_notice(session: boto3.Session) -> None:
    def refuse(**_: Any) -> Any:
        error = {"Code": "AccessDeniedException", "Message": "no logs:CreateLogGroup"}
        return type("Answer", (), {"status_code": 400})(), {"Error": error}

    events: Any = session.events
    events.register("before-call.cloudwatch-logs.*", refuse)
    events.register("before-call.logs.*", refuse)

    for set_it in (create_with_retention, set_retention):
        assert "no logs:CreateLogGroup" in set_it(session, GROUP)


def test_a_deleted_group_is_gone(session: boto3.Session) -> None:
    create_with_retention(session, GROUP)

    delete_log_group(session, GROUP)

    assert find_log_group(session, GROUP) is None


def test_a_group_without_entries_has_no_tail(session: boto3.Session) -> None:
    create_with_retention(session, GROUP)

    assert log_tail(session, GROUP, "job-1") == f"the container wrote no log ({GROUP})"
