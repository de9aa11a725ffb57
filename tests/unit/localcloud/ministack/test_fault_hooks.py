"""Each fault as AWS shows it: names of errors, HTTP statuses, answers."""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ministack.services import stepfunctions

from localcloud.faults import PLACES, Fault, FaultFile
from localcloud.ministack import fault_hooks
from localcloud.ministack.events import PermanentDeliveryError, TransientDeliveryError
from localcloud.ministack.fault_hooks import before, dispatch, execute, faulty_integration, faulty_storage
from localcloud.sagemaker.container import Answer
from localcloud.sagemaker.resources import ApiError
from localcloud.sagemaker.server import asked

GOOD = Answer(200, "application/json", b"[0.75, 0.25]")
SwitchOn = Callable[..., FaultFile]


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SwitchOn:
    """Switch on one fault."""

    def switch_on(service: str, name: str, **more: Any) -> FaultFile:
        file = FaultFile(tmp_path / "faults.json")
        file.save([Fault("1", name, service, seconds=0.01, **more)])
        monkeypatch.setattr(fault_hooks, "FAULTS", file)
        return file

    return switch_on


@pytest.mark.parametrize("name", PLACES["sagemaker"].faults)
def test_every_fault_of_the_endpoint_does_something(name: str, on: SwitchOn) -> None:
    try:
        answer = asked(on("sagemaker", name), lambda: GOOD)
    except ApiError as error:
        assert error.status >= 400  # noqa: PT017 - half of the faults answer
        return
    assert answer.body != GOOD.body or name == "slow"


def test_an_endpoint_without_faults_answers(tmp_path: Path) -> None:
    assert asked(FaultFile(tmp_path / "none.json"), lambda: GOOD) == GOOD


@pytest.mark.parametrize("service", ["dynamodb", "events"])
@pytest.mark.parametrize("name", PLACES["sqs"].faults)
def test_every_fault_of_a_states_call(
    service: str, name: str, on: SwitchOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_hooks, "LONGER_THAN_A_STATE_S", 0.01)
    operation = PLACES[service].operations[0]
    resource = f"arn:aws:states:::{service}:{operation[0].lower()}{operation[1:]}"
    called: list[Any] = []
    on(service, name, key="incoming/ä")
    call = faulty_integration(resource, lambda *a: called.append(a))
    call(resource, {"key": "other"})
    assert len(called) == 1
    if name == "slow":
        call(resource, {"key": "incoming/ä"})
        assert len(called) == 2
        return
    with pytest.raises(stepfunctions._ExecutionError) as raised:  # noqa: SLF001
        call(resource, {"key": "incoming/ä"})
    assert re.fullmatch(r"(DynamoDB|EventBridge)\.\w+", raised.value.error)
    assert len(called) == 1, "the service never sees the call"


@pytest.mark.parametrize("name", PLACES["lambda"].faults)
def test_every_fault_of_a_function(name: str, on: SwitchOn) -> None:
    on("lambda", name)

    def run(function: dict[str, Any], event: Any) -> dict[str, Any]:
        return execute(lambda *_: {"body": "done"}, function, event, "request")

    func = {"config": {"FunctionName": "scones-ClassifyImageFunction-0F0F"}}
    answer = run(func, {"s3_key": "incoming/a.jpg"})
    if name == "slow":
        assert answer == {"body": "done"}
    else:
        assert answer["error"] is True
        assert answer["body"]["errorType"].startswith(("Lambda.", "Runtime.", "Sandbox."))
    assert run({"config": {"FunctionName": "another"}}, {}) == {"body": "done"}


UPLOAD = {"Source": "aws.s3", "Detail": json.dumps({"object": {"key": "incoming/a.jpg"}})}


@pytest.mark.parametrize(("name", "count"), [("duplicate", 2), ("lost", 0), ("throttled", 1), ("denied", 1)])
def test_every_fault_of_an_event(name: str, count: int, on: SwitchOn) -> None:
    on("rule", name)
    seen: list[Any] = []
    dispatch(seen.append, UPLOAD)
    assert len(seen) == count
    dispatch(seen.append, {"Source": "aws.states"})
    assert len(seen) == count + 1, "other events are left alone"


def test_a_late_event_comes_later(on: SwitchOn) -> None:
    on("rule", "late")
    came = threading.Event()
    dispatch(lambda _: came.set(), UPLOAD)
    assert came.wait(10)


QUEUE = {"Arn": "arn:aws:sqs:us-east-1:000000000000:review", "DeadLetterConfig": {"Arn": "dead"}}


def test_the_faults_of_an_uploads_delivery(on: SwitchOn) -> None:
    def deliver() -> None:
        dispatch(lambda event: before({}, event["Detail"]), UPLOAD)

    on("sqs", "denied")
    before({}, "{}")
    for name, error in (("throttled", TransientDeliveryError), ("denied", PermanentDeliveryError)):
        on("rule", name)
        with pytest.raises(error):
            deliver()
    on("rule", "throttled")
    deliver()  # the second attempt of the throttled one


@pytest.mark.parametrize("name", PLACES["sqs"].faults)
def test_the_faults_of_a_queues_delivery(name: str, on: SwitchOn) -> None:
    on("sqs", name)
    before({"Arn": QUEUE["Arn"]}, "{}")  # somebody's own rule, without a dead-letter queue
    errors = {"slow": None, "denied": PermanentDeliveryError}
    error = errors.get(name, TransientDeliveryError)
    with pytest.raises(error) if error else contextlib.nullcontext():
        before(QUEUE, "{}")


async def _read(path: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"12345678"})

    scope = {"type": "http", "method": "GET", "path": path}
    await faulty_storage(application)(scope, receive, send)
    return sent


@pytest.mark.parametrize("name", PLACES["s3"].faults)
def test_every_fault_of_reading(name: str, on: SwitchOn) -> None:
    on("s3", name)
    start, body = asyncio.run(_read("/photos/incoming/a%20b.jpg"))
    if name == "slow":
        assert (start["status"], body["body"]) == (200, b"12345678")
    elif name == "broken-off":
        assert (start["status"], body["body"]) == (200, b"1234")
    else:
        assert start["status"] in {403, 500, 503}
        assert b"<Code>" in body["body"]
    start, body = asyncio.run(_read("/photos/labelled/a.jpg"))
    assert body["body"] == b"12345678", "photos only"
