"""The stack of role.yaml, what of the application's stack follows a model, and the log groups."""

from dataclasses import replace
from typing import Any

import boto3
import pytest

from commandline.errors import UsageError
from localcloud.sagemaker.validation import check_request
from model_build.cloud_training import TRAINING_LOG_GROUP, create_log_group
from model_build.endpoint import aws
from model_build.endpoint.aws import (
    Application,
    find_application,
    find_log_group,
    find_stack,
    log_tail,
    make_stack,
    retention_calls,
)
from model_build.errors import CloudError, RefusedError


def test_the_stack_is_shown_and_made_only_if_somebody_says_so(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not find_stack(session, "scones-model").exists

    with pytest.raises(UsageError, match=r"creates the stack scones-model in eu-west-1.*--yes"):
        make_stack(session, "scones-model", yes=False)
    assert not find_stack(session, "scones-model").exists
    assert "AWS::S3::Bucket          ModelBucket" in capsys.readouterr().err

    made = make_stack(session, "scones-model", yes=True)
    assert made == find_stack(session, "scones-model")
    assert made.role_arn.startswith("arn:aws:iam::123456789012:role/")
    assert ".dkr.ecr.eu-west-1." in made.repository


def test_two_models_in_one_account_have_stacks_of_their_own(session: boto3.Session) -> None:
    one, other = (make_stack(session, name, yes=True) for name in ("scones-model", "scones-model-dev"))

    assert not {one.role_arn, one.bucket, one.repository} & {other.role_arn, other.bucket, other.repository}


def test_a_stack_that_is_another_one_is_refused(session: boto3.Session) -> None:
    with pytest.raises(RefusedError, match="lower-case"):  # it also names the repository
        make_stack(session, "Scones", yes=True)
    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    session.client("cloudformation").create_stack(StackName="scones", TemplateBody=template)

    with pytest.raises(RefusedError, match="scones is CREATE_COMPLETE and has no output 'RoleArn'"):
        find_stack(session, "scones")


def test_a_stack_that_fails_is_an_error(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([None, {"StackStatus": "DELETE_IN_PROGRESS"}, None, None])
    monkeypatch.setattr(aws, "describe_stack", lambda *_: next(states))

    with pytest.raises(CloudError, match="could not be made"):
        make_stack(session, "scones-model", yes=True)


PARAMETERS = {"EndpointName": "scones", "ClassLabels": "red,blue", "ConfidenceThreshold": "0.85"}
APPLICATION = Application("scones-app", PARAMETERS, status="UPDATE_COMPLETE")
SAME = {"labels": ["red", "blue"], "default_threshold": 0.85}


@pytest.mark.parametrize(
    ("manifest", "threshold", "changes"),
    [
        (SAME, None, {}),
        ({}, None, {}),
        ({"labels": ["blue", "red"]}, None, {"ClassLabels": "blue,red"}),
        (SAME, 0.85, {}),
        (SAME, 0.9, {"ConfidenceThreshold": "0.9"}),
        (SAME, 1.0, {"ConfidenceThreshold": "1"}),
        (SAME, 0.00001, {"ConfidenceThreshold": "0.00001"}),
    ],
)
def test_labels_follow_and_the_threshold_if_it_is_asked_for(
    manifest: dict[str, Any], threshold: float | None, changes: dict[str, str]
) -> None:
    assert replace(APPLICATION, threshold=threshold).changes("scones", manifest) == changes


def test_an_application_of_another_endpoint_or_none_stays_as_it_is(session: boto3.Session) -> None:
    other = {"labels": ["van", "boat"], "default_threshold": 0.5}
    missing = find_application(session, "scones", 0.9)
    for application, endpoint in ((APPLICATION, "other"), (missing, "scones")):
        assert application.changes(endpoint, other) == {}
        assert application.advice(endpoint, other) == ""


def test_another_threshold_of_the_model_is_said() -> None:
    assert APPLICATION.advice("scones", SAME) == ""
    assert APPLICATION.advice("scones", {"default_threshold": 0.7}).endswith("--threshold 0.7")


def test_labels_that_no_stack_takes_and_a_stack_that_is_being_deployed_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be the stack's ClassLabels"):
        APPLICATION.changes("scones", {"labels": ["sports car", "van"]})
    deploying = replace(APPLICATION, status="UPDATE_IN_PROGRESS")
    assert deploying.changes("scones", SAME) == {}
    with pytest.raises(RefusedError, match="scones-app is UPDATE_IN_PROGRESS: wait"):
        deploying.changes("scones", {"labels": ["blue", "red"]})


def test_all_other_parameters_keep_their_values() -> None:
    call = APPLICATION.update({"ClassLabels": "blue,red"})

    check_request(call.service, call.operation, call.parameters)
    assert call.parameters["UsePreviousTemplate"]
    values = {one.pop("ParameterKey"): one for one in call.parameters["Parameters"]}
    kept = {"UsePreviousValue": True}
    assert values == {**dict.fromkeys(PARAMETERS, kept), "ClassLabels": {"ParameterValue": "blue,red"}}


def test_a_new_log_group_expires_and_a_chosen_retention_stays() -> None:
    group = {"logGroupName": "g"}

    operations = [call.operation for call in retention_calls("g", None)]
    assert operations == ["CreateLogGroup", "PutRetentionPolicy"]
    assert [call.parameters["retentionInDays"] for call in retention_calls("g", group)] == [30]
    assert retention_calls("g", {**group, "retentionInDays": 365}) == []


def test_the_shared_group_of_training_jobs_expires_if_we_made_it(session: boto3.Session) -> None:
    session.client("logs").create_log_group(logGroupName=f"{TRAINING_LOG_GROUP}-other")

    create_log_group(session)
    assert (find_log_group(session, TRAINING_LOG_GROUP) or {})["retentionInDays"] == 30

    session.client("logs").delete_retention_policy(logGroupName=TRAINING_LOG_GROUP)
    create_log_group(session)
    assert "retentionInDays" not in (find_log_group(session, TRAINING_LOG_GROUP) or {})
    assert log_tail(session, TRAINING_LOG_GROUP, "job-1").startswith("the container wrote no log")


def test_a_refused_retention_is_a_notice(session: boto3.Session, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(**_: Any) -> Any:
        error = {"Code": "AccessDeniedException", "Message": "no logs:CreateLogGroup"}
        return type("Answer", (), {"status_code": 400})(), {"Error": error}

    events: Any = session.events
    events.register("before-call.cloudwatch-logs.*", refuse)
    events.register("before-call.logs.*", refuse)

    create_log_group(session)
    assert "no logs:CreateLogGroup" in capsys.readouterr().err
