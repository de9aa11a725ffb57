"""Every sample event in Docker answers what it answers on AWS's runtime emulator without Docker."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.lambda_runtime import Invoke
from tests.support.sam_app import EVENTS, FOLDERS, LOGICAL_IDS
from tests.support.sam_local import SamLocal

NAMES = [f"{folder}/{path.name}" for folder in FOLDERS for path in sorted((EVENTS / folder).glob("*.json"))]


@pytest.mark.parametrize("name", NAMES)
def test_start_lambda_answers_as_the_emulator(
    name: str, sam_local: SamLocal, start_lambda: Any, emulator: dict[str, Invoke]
) -> None:
    folder = name.partition("/")[0]
    payload = (EVENTS / name).read_bytes()
    called = start_lambda.invoke(FunctionName=LOGICAL_IDS[folder], Payload=payload)
    expected = comparable(emulator[folder](json.loads(payload)), sam_local.code(folder))
    assert comparable(json.loads(called["Payload"].read())) == expected


def comparable(answer: dict[str, Any], code: Path | None = None) -> dict[str, Any]:
    """Return an answer without what differs between invocations, such as the folder of the code."""
    if "errorType" not in answer:
        return answer
    assert answer["requestId"]
    trace = [line.replace(str(code), "/var/task") if code else line for line in answer["stackTrace"]]
    return {**answer, "requestId": "", "stackTrace": trace}
