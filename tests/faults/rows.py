"""The rows of the fault table: what is broken, and what must become of the photo."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

ACCEPTED = ("ACCEPTED",)
DOUBTFUL = ("LOW_CONFIDENCE THRESHOLD_CONFIDENCE_NOT_MET",)
FAILED_ALARM = ("FailedPhotosAlarm",)
UNTOLD_ALARM = ("PhotosWithoutOutcomeAlarm",)


@dataclass(frozen=True)
class Row:
    """One fault, or more at a time.

    Attributes:
        name: what is broken, in words.
        faults: members of localcloud.faults.switches.Fault, for each fault.
        outcomes: the records that there must be in the end: outcome and error.
        alarms: the alarms that must be raised.
        doubtful: whether the photo is one that the model is unsure of.
        mended: outcomes once the faults are off and `redrive --missing` has run; empty if it is not run.
    """

    name: str
    faults: Sequence[dict[str, Any]]
    outcomes: tuple[str, ...] = ACCEPTED
    alarms: tuple[str, ...] = ()
    doubtful: bool = False
    mended: tuple[str, ...] = ()


def endpoint(name: str, times: int | None = None, **more: Any) -> dict[str, Any]:
    return {"service": "sagemaker", "name": name, "times": times, **more}


def failed(error: str) -> dict[str, Any]:
    return {"outcomes": (f"FAILED {error}",), "alarms": FAILED_ALARM}


def at(service: str, name: str, times: int | None = None, **more: Any) -> dict[str, Any]:
    return {"service": service, "name": name, "times": times, **more}


ENDPOINT = [
    Row("endpoint slow", [endpoint("slow", seconds=2.0)]),
    Row("endpoint does not answer, once", [endpoint("timeout", 1, seconds=3.0)]),
    Row("endpoint wakes slowly", [endpoint("waking", 3)]),
    Row("endpoint throttles, twice", [endpoint("throttled", 2)]),
    Row("endpoint throttles, for ever", [endpoint("throttled")], **failed("EndpointBusy")),
    Row("endpoint: internal error, twice", [endpoint("error", 2)]),
    Row("endpoint not available, twice", [endpoint("unavailable", 2)]),
    Row("endpoint not available, for ever", [endpoint("unavailable")], **failed("EndpointUnavailable")),
    Row("model raises, twice", [endpoint("model-error", 2)]),
    Row("model raises on every photo", [endpoint("model-error")], **failed("EndpointUnavailable")),
    Row("endpoint missing, twice", [endpoint("missing", 2)]),
    Row("endpoint missing, for ever", [endpoint("missing")], **failed("EndpointUnavailable")),
    Row(
        "answer of another length",
        [endpoint("wrong-length")],
        **failed("EndpointContractViolation"),
    ),
    Row("answer with NaN", [endpoint("not-a-number")], **failed("EndpointContractViolation")),
    Row("answer is no JSON", [endpoint("not-json")], **failed("EndpointContractViolation")),
    Row("empty answer", [endpoint("empty")], **failed("EndpointContractViolation")),
    Row("endpoint flaps", [endpoint("error", rate=0.5, seed=1, times=3)]),
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
        Row(f"{function} crashes, once", [at("lambda", "crash", 1, operation=function)])
        for function in ("SerializeImage", "ClassifyImage", "FilterInference")
    ),
    Row(
        "SerializeImage crashes, for ever",
        [at("lambda", "crash", operation="SerializeImage")],
        **failed("Runtime.ExitError"),
    ),
    Row("ClassifyImage out of time, once", [at("lambda", "timeout", 1, operation="ClassifyImage")]),
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
    Row(
        "results table refuses, for ever",
        [at("dynamodb", "denied")],
        outcomes=(),
        alarms=UNTOLD_ALARM,
        mended=ACCEPTED,
    ),
]
REVIEW: dict[str, Any] = {"doubtful": True, "outcomes": DOUBTFUL}
TELLING = [
    Row("review queue throttles, four times", [at("sqs", "throttled", 4)], **REVIEW),
    Row("review queue: internal error, four times", [at("sqs", "error", 4)], **REVIEW),
    Row(
        "review queue refuses, for ever",
        [at("sqs", "denied")],
        alarms=UNTOLD_ALARM,
        mended=DOUBTFUL,
        **REVIEW,
    ),
    Row("event bus throttles, four times", [at("events", "throttled", 4)]),
    Row("event bus: internal error, four times, doubtful photo", [at("events", "error", 4)], **REVIEW),
    Row("event bus refuses, for ever", [at("events", "denied")], alarms=UNTOLD_ALARM, mended=ACCEPTED),
    Row(
        "event bus refuses, for ever, doubtful photo",
        [at("events", "denied")],
        alarms=UNTOLD_ALARM,
        mended=DOUBTFUL,
        **REVIEW,
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
        [at("rule", "denied")],
        outcomes=(),
        alarms=("UndeliveredEventsAlarm",),
        mended=ACCEPTED,
    ),
]
TOGETHER = [
    Row(
        "everything fails now and then",
        [
            endpoint("error", rate=0.3, times=2),
            at("s3", "slow-down", rate=0.3, times=2),
            at("lambda", "throttled", rate=0.3, times=2),
            at("dynamodb", "throttled", rate=0.5, times=2),
            at("events", "throttled", rate=0.5, times=2),
        ],
    ),
]
ROWS = [*ENDPOINT, *STORAGE, *FUNCTIONS, *RECORDING, *TELLING, *RULE, *TOGETHER]


@dataclass
class Photo:
    """Photo of a row: its key, and when it was uploaded."""

    key: str
    started: float
    versions: list[str] = field(default_factory=list)
