"""Every sample event in Docker answers what it answers on AWS's runtime emulator without Docker."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.lambda_runtime import Invoke
from tests.support.sam_app import EVENTS, FOLDERS, LOGICAL_IDS
from tests.support.sam_local import SamLocal

NAMES = [f"{folder}/{path.name}" for folder in FOLDERS for path in sorted((EVENTS / folder).glob("*.json"))]
INVOKED = [f"{folder}/bicycle.json" for folder in FOLDERS] + [
    "serialize_image/missing_object.json",
    "classify_image/refused_by_the_model.json",
    "filter_inference/low_confidence.json",
]
"""An answer and an error of each function, in a new container each: the others need none of their own."""


@pytest.mark.parametrize("name", NAMES)
def test_start_lambda_answers_as_the_emulator(
    name: str, sam_local: SamLocal, start_lambda: Any, emulator: dict[str, Invoke]
) -> None:
    folder = name.partition("/")[0]
    payload = (EVENTS / name).read_bytes()
    called = start_lambda.invoke(FunctionName=LOGICAL_IDS[folder], Payload=payload)
    assert comparable(json.loads(called["Payload"].read())) == expected(name, sam_local, emulator)


@pytest.mark.parametrize("name", INVOKED)
def test_invoke_answers_as_the_emulator(name: str, sam_local: SamLocal, emulator: dict[str, Invoke]) -> None:
    answer = sam_local.invoke(name.partition("/")[0], EVENTS / name)
    assert comparable(answer) == expected(name, sam_local, emulator)


def expected(name: str, sam_local: SamLocal, emulator: dict[str, Invoke]) -> dict[str, Any]:
    folder = name.partition("/")[0]
    return comparable(emulator[folder](json.loads((EVENTS / name).read_bytes())), sam_local.code(folder))


def comparable(answer: dict[str, Any], code: Path | None = None) -> dict[str, Any]:
    """Return an answer without what differs between invocations, such as the folder of the code."""
    if "errorType" not in answer:
        return answer
    assert answer["requestId"]
    trace = [line.replace(str(code), "/var/task") if code else line for line in answer["stackTrace"]]
    return {**answer, "requestId": "", "stackTrace": trace}
