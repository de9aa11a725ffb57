"""The three functions on AWS's own Lambda runtime, with every sample event, against S3 and a real endpoint.

S3 and the endpoint with the shipped model are the local cloud's. What Lambda would answer,
error names included, is compared with what events/expected.json promises.
"""

import base64
import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from model_build.data.samples import write_samples
from model_build.endpoint.steps import Wanted
from tests.support.deployment import deploy
from tests.support.lambda_runtime import Invoke, lambda_runtime
from tests.support.sam_app import FOLDERS, definition, event, expected, parameter_default
from tests.support.workflow_interpreter import Execution, TaskError

BUCKET = "scones-photos"
EVENTS = [name for folder in FOLDERS for name in expected(f"{folder}/")]


@pytest.fixture(scope="module")
def cloud(emulator: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """S3 with the sample photos, and the endpoint with the shipped model."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for path in write_samples(tmp_path_factory.mktemp("samples")):
        s3.upload_file(str(path), BUCKET, f"incoming/samples/{path.name}")
    deploy(Wanted(endpoint_name=parameter_default("EndpointName"), image="own"))
    return emulator


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def functions(cloud: dict[str, str], logs: Path) -> Iterator[dict[str, Invoke]]:
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        yield {folder: enter(lambda_runtime(folder, cloud, logs / f"{folder}.log")) for folder in FOLDERS}


@pytest.mark.parametrize("name", EVENTS)
def test_every_sample_event_is_answered_as_expected(functions: dict[str, Invoke], name: str) -> None:
    answer, wanted = functions[name.partition("/")[0]](event(name)), expected()[name]
    if "error" in wanted:
        assert answer.get("errorType") == wanted["error"], answer
        assert wanted["message"] in answer["errorMessage"]
        return
    assert "errorType" not in answer, answer
    assert {field: answer.get(field) for field in wanted["answer"]} == wanted["answer"]
    assert all(answer.get(field) for field in wanted.get("present", []))
    assert not [field for field in wanted.get("absent", []) if field in answer]
    if "image_size" in wanted:
        shown = Image.open(io.BytesIO(base64.b64decode(answer["image_data"])))
        assert list(shown.size) == wanted["image_size"]
    if "most_probable" in wanted:
        labels = parameter_default("ClassLabels").split(",")
        assert max(zip(answer["inferences"], labels, strict=True))[1] == wanted["most_probable"]


STATES = dict(zip(("SerializeImage", "ClassifyImage", "FilterInference"), FOLDERS, strict=True))


@pytest.mark.parametrize(("name", "wanted"), expected("workflow/").items())
def test_every_workflow_event_ends_as_expected(
    functions: dict[str, Invoke], name: str, wanted: dict[str, Any]
) -> None:
    def task(state: str, arguments: Any) -> Any:
        if state not in STATES:
            return {}  # a service that did what it was asked
        answer = functions[STATES[state]](arguments["Payload"])
        if "errorType" in answer:
            raise TaskError(answer["errorType"], json.dumps(answer))
        return {"Payload": answer}

    ending = Execution(definition(), task).run(event(name))
    record = ending.calls["RecordOutcome"]
    assert (ending.status, ending.error) == (wanted["status"], wanted["error"])
    assert record["Item"]["outcome"] == {"S": wanted["outcome"]}
    if wanted["label"]:
        assert record["Item"]["label"] == {"S": wanted["label"]}
    assert max(len(json.dumps(payload)) for payload in ending.payloads.values()) < 100_000


def test_logs_are_json_with_our_fields_and_without_pixels(functions: dict[str, Invoke], logs: Path) -> None:
    answer = functions["serialize_image"](event("serialize_image/bicycle.json"))
    functions["classify_image"](answer)
    lines = [
        json.loads(line)
        for folder in ("serialize_image", "classify_image")
        for line in (logs / f"{folder}.log").read_text(encoding="utf-8").splitlines()
        if line.startswith("{")
    ]
    by_message = {line.get("message"): line for line in lines}
    # Before anything can fail: what is cut off afterwards leaves its key.
    received = event("serialize_image/bicycle.json")
    assert {name: by_message["photo received"][name] for name in received} == received
    assert by_message["photo serialized"]["bytes_returned"] > 0
    assert len(by_message["photo classified"]["inferences"]) == 2
    assert answer["image_data"][:40] not in json.dumps(lines)


def test_a_wrong_setting_is_named_by_the_first_invocation(cloud: dict[str, str], logs: Path) -> None:
    wrong = {**cloud, "CONFIDENCE_THRESHOLD": "high"}
    with lambda_runtime("filter_inference", wrong, logs / "wrong.log") as invoke:
        answer = invoke(event("filter_inference/bicycle.json"))
    assert answer["errorType"] == "ValueError"
    assert "CONFIDENCE_THRESHOLD" in answer["errorMessage"]
