"""Deploying, updating and deleting models on the SageMaker stand-in, which runs what is in the archive."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from model_build.__main__ import main
from model_build.archive.package import package_model
from model_build.archive.trusted_code import TRUSTED_VARIABLE, ForeignCodeError
from model_build.endpoint.steps import Wanted
from model_build.errors import DeploymentError
from tests.support.deployment import BUCKET, ROLE, delete, deploy, status
from tests.support.local_cloud import wait_until
from tests.support.photo_files import encode
from tests.support.tiny_model import picture, with_code, write_model

pytestmark = pytest.mark.usefixtures("emulator")


@pytest.fixture
def request_a(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Wanted]:
    """Version A: red is the first label, blue the second."""
    name = re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    yield Wanted(model=write_model(tmp_path / "a", ["red", "blue"]), endpoint_name=name, image="own")
    delete(name)


def invoke(endpoint_name: str) -> list[float]:
    """Return what an endpoint answers for something red."""
    runtime, photo = boto3.client("sagemaker-runtime"), encode(Image.fromarray(picture("red")), "PNG")
    answer = runtime.invoke_endpoint(EndpointName=endpoint_name, Body=photo, ContentType="image/png")
    probabilities: list[float] = json.loads(answer["Body"].read())
    return probabilities


def test_an_endpoint_that_never_came_up_leaves_nothing_but_its_log(request_a: Wanted, tmp_path: Path) -> None:
    model = write_model(tmp_path / "broken", ["red", "blue"])
    (model / "model.onnx").write_bytes(b"this is no network")
    archive = package_model(model, tmp_path / "broken.tar.gz")
    with pytest.raises(DeploymentError, match="nothing serves"):
        deploy(replace(request_a, model=archive))
    facts = status(request_a.endpoint_name)
    assert (facts.status, facts.versions, facts.models) == (None, (), ())
    assert facts.log_group == f"/aws/sagemaker/Endpoints/{request_a.endpoint_name}"
    assert deploy(request_a).created
    assert invoke(request_a.endpoint_name)[0] > 0.99


BUILT_IN = """
import json

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    assert content_type == "image/png" and body.startswith(b"\\x89PNG")

def predict_fn(data, model):
    return [0.9510304927825928, 0.048969559371471405]

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""


def test_code_of_somebody_else_runs_only_if_it_is_trusted(request_a: Wanted, tmp_path: Path) -> None:
    model = with_code(write_model(tmp_path / "built-in", ["red", "blue"]), BUILT_IN)
    with pytest.raises(ForeignCodeError, match=r"code/inference\.py.*--trust-code"):
        deploy(replace(request_a, model=model))
    assert status(request_a.endpoint_name).models == ()
    trusted = deploy(replace(request_a, model=model, trust_code=True))
    assert invoke(request_a.endpoint_name) == [0.9510304927825928, 0.048969559371471405]

    # Whoever goes round the command is refused by the emulator itself.
    client = boto3.client("sagemaker")
    container: Any = client.describe_model(ModelName=trusted.version)["PrimaryContainer"]
    container["Environment"][TRUSTED_VARIABLE] = "0" * 64
    client.create_model(ModelName="round", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    config = client.describe_endpoint_config(EndpointConfigName=trusted.version)
    variants: Any = [{**config["ProductionVariants"][0], "ModelName": "round"}]
    client.create_endpoint_config(EndpointConfigName="round", ProductionVariants=variants)
    client.create_endpoint(EndpointName="round", EndpointConfigName="round")
    wait_until(lambda: client.describe_endpoint(EndpointName="round")["EndpointStatus"] != "Creating")
    settled = client.describe_endpoint(EndpointName="round")
    assert (settled["EndpointStatus"], "--trust-code" in settled["FailureReason"]) == ("Failed", True)


def refusals(folder: Path) -> dict[str, list[str]]:
    """Return options with which the real command is refused, by what is wrong."""
    text = folder / "text.tar.gz"
    text.write_text("no archive", encoding="utf-8")
    damaged = write_model(folder / "damaged", ["red", "blue"])
    manifest = json.loads((damaged / "manifest.json").read_text(encoding="utf-8"))
    (damaged / "manifest.json").write_text(json.dumps({**manifest, "files": {"model.onnx": "0" * 64}}))
    foreign = with_code(write_model(folder / "foreign", ["red", "blue"]), BUILT_IN)
    return {
        "no model": ["--model", str(folder / "nothing")],
        "no archive": ["--model", str(text)],
        "a damaged network": ["--model", str(damaged)],
        "foreign code": ["--model", str(foreign)],
        "an unknown image": ["--image", "tensorflow"],
        "an image that was not pushed": ["--instance-type", "ml.m6g.large"],
        "an image elsewhere": ["--image", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1"],
        "serverless in place": ["--serverless-memory", "2048"],
        "a bucket's path": ["--bucket", "s3://scones-models"],
        "half of role and bucket": ["--role-arn", ROLE],
    }


def test_a_dry_run_refuses_exactly_what_the_command_refuses(
    request_a: Wanted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(request_a)
    before = status(request_a.endpoint_name)
    given = ["--role-arn", ROLE, "--bucket", BUCKET, "--model", str(request_a.model), "--image", "own"]
    for wrong, options in refusals(tmp_path).items():
        usual = given if wrong != "half of role and bucket" else []
        line = ["deploy", "--endpoint-name", request_a.endpoint_name, *usual, *options]
        codes = main(line), main([*line, "--dry-run"])
        captured = capsys.readouterr()
        real, dry = captured.err.strip().splitlines()
        assert (codes[1], captured.out, dry) == (codes[0], "", real), wrong
        assert codes[0] in {1, 2}, wrong
    assert status(request_a.endpoint_name) == before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
def test_delete_asks_a_person_first(
    request_a: Wanted,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    deploy(request_a)
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\ny\n"))

    assert main(["delete", "--endpoint-name", request_a.endpoint_name]) == code

    assert "1 endpoint configuration, 1 model " in capsys.readouterr().err
    facts = status(request_a.endpoint_name)
    assert (facts.status is None) is (code == 0)
    assert (facts.log_group is None) is (code == 0), "the logs were asked for too"
