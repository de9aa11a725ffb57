"""The rows of the fault table: what is broken, and what must become of the photo."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ACCEPTED = ("ACCEPTED",)
DOUBTFUL = ("LOW_CONFIDENCE THRESHOLD_CONFIDENCE_NOT_MET",)
COSTLY = ("REJECTED ImageTooCostly",)
FAILED_ALARM = ("FailedPhotosAlarm",)
NO_OUTCOME_ALARM = ("PhotosWithoutOutcomeAlarm",)


@dataclass(frozen=True)
class Row:
    """One fault, or more at a time."""

    name: str
    faults: Sequence[dict[str, Any]]  # members of localcloud.faults.Fault
    outcomes: tuple[str, ...] = ACCEPTED  # of the records that there must be in the end, with their errors
    alarms: tuple[str, ...] = ()  # that must be raised
    doubtful: bool = False  # whether the photo is one that the model is unsure of
    mended: tuple[str, ...] = ()  # outcomes after the faults and `redrive --missing`


def at(service: str, name: str, times: int | None = None, **more: Any) -> dict[str, Any]:
    return {"service": service, "name": name, "times": times, **more}


def failed(error: str) -> dict[str, Any]:
    return {"outcomes": (f"FAILED {error}",), "alarms": FAILED_ALARM}


def endpoint(title: str, name: str, times: int | None = None, error: str = "", **more: Any) -> Row:
    return Row(title, [at("sagemaker", name, times, **more)], **(failed(error) if error else {}))


# Requests to the endpoint name no photo: one row after the other.
ENDPOINT = [
    endpoint("endpoint slow", "slow", seconds=2.0),
    endpoint("endpoint does not answer, once", "timeout", 1, seconds=3.0),
    endpoint("endpoint wakes slowly", "waking", 3),
    endpoint("endpoint throttles, twice", "throttled", 2),
    endpoint("endpoint throttles, for ever", "throttled", error="EndpointBusy"),
    endpoint("endpoint: internal error, twice", "error", 2),
    endpoint("model raises, twice", "model-error", 2),
    endpoint("endpoint missing, for ever", "missing", error="EndpointUnavailable"),
    endpoint("answer of another length", "wrong-length", error="EndpointContractViolation"),
    endpoint("answer with NaN", "not-a-number", error="EndpointContractViolation"),
    endpoint("answer is no JSON", "not-json", error="EndpointContractViolation"),
    endpoint("empty answer", "empty", error="EndpointContractViolation"),
    endpoint("endpoint flaps", "error", rate=0.5, seed=1, times=3),
]
STORAGE = [
    Row("S3 slow", [at("s3", "slow", seconds=2.0)]),
    Row("S3 SlowDown, four times", [at("s3", "slow-down", 4)]),
    Row("S3 SlowDown, for ever", [at("s3", "slow-down")], **failed("StorageUnavailable")),
    Row("S3 internal error, four times", [at("s3", "error", 4)]),
    Row("S3 refuses", [at("s3", "denied")], **failed("ObjectNotReadable")),
    Row("S3 breaks off, once", [at("s3", "broken-off", 1)]),
    Row("S3 breaks off, for ever", [at("s3", "broken-off")], **failed("StorageUnavailable")),
]
FUNCTIONS = [
    *(
        Row(f"{function} {what}, once", [at("lambda", name, 1, operation=function)])
        for function in ("SerializeImage", "ClassifyImage", "FilterInference")
        for what, name in (("crashes", "crash"), ("out of time", "timeout"))
    ),
    *(
        Row(f"SerializeImage {what}, for ever", [at("lambda", name, operation="SerializeImage")], COSTLY)
        for what, name in (("killed", "crash"), ("out of time", "timeout"))
    ),
    Row("Lambda slow", [at("lambda", "slow", seconds=1.0)]),
    Row("Lambda throttles, three times", [at("lambda", "throttled", 3)]),
    Row(
        "Lambda throttles, for ever", [at("lambda", "throttled")], **failed("Lambda.TooManyRequestsException")
    ),
    Row("Lambda: internal error, four times", [at("lambda", "error", 4)]),
]
RECORDING = [
    Row("results table throttles, four times", [at("dynamodb", "throttled", 4)]),
    Row("results table: internal error, four times", [at("dynamodb", "error", 4)]),
    Row("results table does not answer, once", [at("dynamodb", "timeout", 1)]),
    Row("results table slow", [at("dynamodb", "slow", seconds=2.0)]),
    Row("debt cannot be removed, four times", [at("dynamodb", "error", 4, operation="UpdateItem")]),
    Row("results table refuses, for ever", [at("dynamodb", "denied")], (), NO_OUTCOME_ALARM, mended=ACCEPTED),
]
REVIEW: dict[str, Any] = {"doubtful": True, "outcomes": DOUBTFUL}
DELIVERY = [
    Row("review queue throttles, twice", [at("sqs", "throttled", 2)], **REVIEW),
    Row("review queue: internal error, twice", [at("sqs", "error", 2)], **REVIEW),
    Row("review queue refuses", [at("sqs", "denied")], alarms=("ReviewGivenUpAlarm",), **REVIEW),
    Row("event bus throttles, four times", [at("events", "throttled", 4)]),
    Row("event bus: internal error, four times, doubtful photo", [at("events", "error", 4)], **REVIEW),
    Row("event bus refuses, for ever", [at("events", "denied")], alarms=NO_OUTCOME_ALARM, mended=ACCEPTED),
    Row(
        "event bus refuses, for ever, doubtful photo",
        *([at("events", "denied")], DOUBTFUL, NO_OUTCOME_ALARM),
        doubtful=True,
        mended=DOUBTFUL,
    ),
]
TOGETHER = [
    Row(
        "everything fails now and then",
        [
            at("s3", "slow-down", rate=0.3, times=2),
            at("lambda", "throttled", rate=0.3, times=2),
            at("dynamodb", "throttled", rate=0.5, times=2),
            at("events", "throttled", rate=0.5, times=2),
        ],
    ),
]
RULE = [
    Row("event comes twice", [at("rule", "duplicate")]),
    Row("event comes twice, doubtful photo", [at("rule", "duplicate")], **REVIEW),
    Row("event comes late", [at("rule", "late", seconds=3.0)]),
    Row("event lost", [at("rule", "lost")], outcomes=(), mended=ACCEPTED),
    Row("workflow cannot be started, once", [at("rule", "throttled", 1)]),
    Row(
        "rule may not start the workflow",
        *([at("rule", "denied")], (), ("UndeliveredEventsAlarm",)),
        mended=ACCEPTED,
    ),
]
WORKFLOW = [*STORAGE, *FUNCTIONS, *RECORDING, *DELIVERY, *TOGETHER]
"""Faults of calls that name the photo: all at once."""
ROWS = [*ENDPOINT, *WORKFLOW, *RULE]
