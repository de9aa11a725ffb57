"""The functions' exception classes and the workflow's ErrorEquals are the same names."""

import inspect
from typing import Any

import pytest

from tests.contract.test_contract_workflow import FUNCTION_STATES as FUNCTION_OF
from tests.contract.test_contract_workflow import STATES, TASKS
from tests.support.sam_app import expected, load_function

TRANSIENT = {"StorageUnavailable", "EndpointBusy", "EndpointUnavailable"}
# Error names defined by AWS.
RESERVED = {
    *("States.ALL", "States.TaskFailed", "States.Timeout", "Lambda.TooManyRequestsException"),
    *("Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.Unknown"),
    *("Lambda.ClientExecutionTimeoutException", "Sandbox.Timedout", "Runtime.ExitError"),
    *("Runtime.OutOfMemory", "EventBridge.FailedEntry"),
    *("DynamoDB.ConditionalCheckFailedException", "DynamoDb.ConditionalCheckFailedException"),
}


def classes(folder: str) -> set[str]:
    """Return the names of a function's exception classes."""
    found = vars(load_function(folder).errors).items()
    return {
        name for name, one in found if getattr(one, "__module__", "") == "errors" and inspect.isclass(one)
    }


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [name for entry in entries for name in entry["ErrorEquals"]]


@pytest.mark.parametrize("state", STATES)
def test_every_name_in_the_workflow_is_an_error_that_can_occur_there(state: str) -> None:
    known = RESERVED | (classes(FUNCTION_OF[state]) if state in FUNCTION_OF else set())
    for handlers in ("Retry", "Catch"):
        used = names(STATES[state].get(handlers, []))
        assert set(used) <= known
        assert len(used) == len(set(used)), "a name belongs to one entry only"


# What Lambda reports when it throttles, fails, or a function crashes or times out.
LAMBDA_ERRORS = {name for name in RESERVED if name.startswith(("Lambda.", "Sandbox."))}


def retried_until_the_deadline(state: str) -> set[str]:
    """Return the errors that lead to RetryOrGiveUp."""
    return set(names([catcher for catcher in STATES[state]["Catch"] if catcher["Next"] == "RetryOrGiveUp"]))


@pytest.mark.parametrize("state", FUNCTION_OF)
def test_permanent_errors_are_not_retried_and_transient_ones_are(state: str) -> None:
    first, *rest = STATES[state]["Retry"]
    assert first["MaxAttempts"] == 0
    permanent = classes(FUNCTION_OF[state]) - TRANSIENT
    assert set(first["ErrorEquals"]) == permanent
    assert all(entry["MaxAttempts"] > 0 for entry in rest)
    assert not permanent & (set(names(rest)) | retried_until_the_deadline(state))
    transient = classes(FUNCTION_OF[state]) & TRANSIENT
    costly = {"Sandbox.Timedout"} if state == "SerializeImage" else set()
    assert retried_until_the_deadline(state) == transient | (LAMBDA_ERRORS - costly) | {"States.Timeout"}


@pytest.mark.parametrize("state", FUNCTION_OF)
def test_a_crashed_function_is_called_again_a_few_times(state: str) -> None:
    """A killed environment is bad luck once, and the photo's fault if it happens every time."""
    (retrier,) = (one for one in STATES[state]["Retry"] if "Runtime.ExitError" in one["ErrorEquals"])
    assert "Runtime.OutOfMemory" in retrier["ErrorEquals"]
    assert retrier["MaxAttempts"] in {1, 2}


@pytest.mark.parametrize("state", sorted(set(TASKS) - set(FUNCTION_OF)))
def test_every_error_of_a_service_is_retried_until_the_deadline(state: str) -> None:
    refused = {"DynamoDB.ConditionalCheckFailedException", "DynamoDb.ConditionalCheckFailedException"}
    assert retried_until_the_deadline(state) == {"States.ALL"}
    others = set(names(STATES[state]["Catch"])) - {"States.ALL"}
    assert others == (refused if state in {"RecordOutcome", "MarkDelivered"} else set())


@pytest.mark.parametrize("state", TASKS)
def test_a_retry_goes_back_to_the_state_that_failed(state: str) -> None:
    (catcher,) = (c for c in STATES[state]["Catch"] if c["Next"] == "RetryOrGiveUp")
    assert catcher["Assign"]["failed_state"] == state
    assert catcher["Output"] == "{% $states.input %}", "the state needs its input again"
    back = STATES["RetryFailedState"]
    ways = {rule["Condition"]: rule["Next"] for rule in back["Choices"]}
    assert ways.get(f"{{% $failed_state = '{state}' %}}", back["Default"]) == state


def test_every_error_that_an_input_can_cause_has_a_sample_event() -> None:
    shown = {answer["error"] for answer in expected().values() if answer.get("error")}
    needs_an_outage = TRANSIENT | {"BuildMismatch", "ObjectNotReadable", "ImageTooCostly"}
    everything = set().union(*map(classes, FUNCTION_OF.values()))
    assert shown - {"THRESHOLD_CONFIDENCE_NOT_MET"} == everything - needs_an_outage
