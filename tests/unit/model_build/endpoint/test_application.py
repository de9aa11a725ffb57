"""What of the application's stack follows a model, and what is only said."""

from dataclasses import replace
from typing import Any

import boto3
import pytest

from commandline.errors import UsageError
from localcloud.sagemaker.validation import check_request
from model_build.endpoint.aws import Application, find_application
from model_build.errors import RefusedError

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


def test_labels_that_no_stack_takes_are_refused_before_anything_is_done() -> None:
    with pytest.raises(UsageError, match="cannot be the stack's ClassLabels"):
        APPLICATION.changes("scones", {"labels": ["sports car", "van"]})


def test_a_stack_that_is_being_deployed_is_refused_before_anything_is_done() -> None:
    deploying = replace(APPLICATION, status="UPDATE_IN_PROGRESS")
    assert deploying.changes("scones", SAME) == {}
    with pytest.raises(RefusedError, match="scones-app is UPDATE_IN_PROGRESS: wait"):
        deploying.changes("scones", {"labels": ["blue", "red"]})


def test_all_other_parameters_keep_their_values(session: boto3.Session) -> None:
    del session
    call = APPLICATION.update({"ClassLabels": "blue,red"})

    check_request(call.service, call.operation, call.parameters)
    assert call.parameters["UsePreviousTemplate"]
    values = {one.pop("ParameterKey"): one for one in call.parameters["Parameters"]}
    kept = {"UsePreviousValue": True}
    assert values == {**dict.fromkeys(PARAMETERS, kept), "ClassLabels": {"ParameterValue": "blue,red"}}
