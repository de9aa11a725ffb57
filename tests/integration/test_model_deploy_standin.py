"""Deploying, updating and deleting models on the SageMaker stand-in, which runs what is in the archive."""

import functools
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from PIL import Image

from model_build.__main__ import main
from model_build.artifact.package import package_model
from model_build.endpoint import delete as delete_command
from model_build.endpoint import deploy as deploy_command
from model_build.endpoint.deploy import DeployRequest, DeployResult
from model_build.endpoint.inventory import Inventory
from model_build.endpoint.progress import Progress, quiet
from model_build.endpoint.status import EndpointStatus, endpoint_status
from model_build.errors import DeploymentError, RefusedError
from tests.support.sagemaker_emulator import BUCKET, ROLE, sagemaker_emulator
from tests.support.tiny_model import picture, write_model


@functools.cache
def session() -> boto3.Session:
    """One for all tests: each new one reads megabytes of service descriptions."""
    return boto3.Session()


def deploy(request: DeployRequest, progress: Progress = quiet) -> DeployResult:
    return deploy_command.deploy(request, session=session(), progress=progress, timeout_seconds=60)


def delete(endpoint_name: str) -> Inventory:
    return delete_command.delete(endpoint_name, session=session())


def status(endpoint_name: str) -> EndpointStatus:
    return endpoint_status(endpoint_name, session=session())


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with sagemaker_emulator(tmp_path_factory.mktemp("standin")) as found:
        yield found


@pytest.fixture(autouse=True)
def _environment(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def request_a(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DeployRequest]:
    """Version A: red is the first label, blue the second."""
    name = re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    asked = DeployRequest(
        model=write_model(tmp_path / "a", ["red", "blue"]),
        endpoint_name=name,
        role_arn=ROLE,
        bucket=BUCKET,
        image="own",
    )
    yield asked
    delete(name)


def png(colour: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture(colour)).save(content, "PNG")
    return content.getvalue()


RED = png("red")


def invoke(endpoint_name: str, body: bytes = RED, content_type: str = "image/png") -> list[float]:
    answer = (
        session()
        .client("sagemaker-runtime")
        .invoke_endpoint(EndpointName=endpoint_name, Body=body, ContentType=content_type)
    )
    probabilities: list[float] = json.loads(answer["Body"].read())
    return probabilities


def broken_archive(folder: Path) -> Path:
    """Return an archive as `package` makes it, with bytes that are not a network."""
    model = write_model(folder / "broken", ["red", "blue"])
    (model / "model.onnx").write_bytes(b"this is no network")
    return package_model(model, folder / "broken.tar.gz")


def versions_of(name: str) -> tuple[list[str], list[str]]:
    client = session().client("sagemaker")
    configs = client.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    models = client.list_models(NameContains=name)["Models"]
    return [c["EndpointConfigName"] for c in configs], [m["ModelName"] for m in models]


class Stream:
    """A steady stream of photos: sends one after another until it is left, and keeps every answer."""

    def __init__(self, endpoint_name: str) -> None:
        self.endpoint_name = endpoint_name
        self.answers: list[list[float]] = []
        self.failures: list[Exception] = []
        self.started = threading.Event()
        self._client = session().client("sagemaker-runtime")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        """Return once the first photo is answered."""
        self._thread.start()
        assert self.started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the last answer."""
        self._stop.set()
        self._thread.join(30)

    def _send(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._client.invoke_endpoint(
                    EndpointName=self.endpoint_name, Body=RED, ContentType="image/png"
                )
                self.answers.append(json.loads(answer["Body"].read()))
            except Exception as error:  # noqa: BLE001 - the test asserts that there is none
                self.failures.append(error)
            self.started.set()


def test_new_endpoint_serves_the_model_in_the_archive(request_a: DeployRequest) -> None:
    seen: list[str] = []

    result = deploy(request_a, progress=lambda step, _: seen.append(step))

    assert isinstance(result, DeployResult)
    assert result.created
    assert invoke(request_a.endpoint_name)[0] > 0.99
    assert versions_of(request_a.endpoint_name) == ([result.version], [result.version])
    assert seen[0] == "Uploading"
    stored = (
        session().client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"models/{result.version}/")["Contents"]
    )
    assert [f"s3://{BUCKET}/{item['Key']}" for item in stored] == [result.model_data_url]


def test_answers_name_the_labels_and_the_version(request_a: DeployRequest) -> None:
    result = deploy(request_a)

    answer = (
        session()
        .client("sagemaker-runtime")
        .invoke_endpoint(EndpointName=request_a.endpoint_name, Body=RED, ContentType="image/png")
    )

    assert answer["CustomAttributes"] == f"labels=red,blue;model_version={result.version}"


def test_no_photo_fails_while_a_new_version_takes_over(request_a: DeployRequest, tmp_path: Path) -> None:
    deploy(request_a)
    swapped = replace(request_a, model=write_model(tmp_path / "b", ["blue", "red"]))

    with Stream(request_a.endpoint_name) as stream:
        result = deploy(swapped)
        after = len(stream.answers)
        for _ in range(5):
            assert invoke(request_a.endpoint_name)[1] > 0.99

    assert stream.failures == []
    assert not result.created
    by_a = [answer[0] > 0.5 for answer in stream.answers]
    assert by_a[0]
    # The one request that was under way when the update was done may still be answered by the old version.
    assert not any(by_a[after + 1 :])
    assert by_a == sorted(by_a, reverse=True), "once the new version answers, the old one never does again"


def test_a_broken_version_never_takes_traffic(request_a: DeployRequest, tmp_path: Path) -> None:
    first = deploy(request_a)

    with Stream(request_a.endpoint_name) as stream, pytest.raises(DeploymentError) as failed:
        deploy(replace(request_a, model=broken_archive(tmp_path)))

    assert stream.failures == []
    assert all(answer[0] > 0.99 for answer in stream.answers)
    assert failed.value.serving_config == first.version
    message = str(failed.value)
    assert "rolled back" in message
    assert "ping health check" in message
    assert "onnxruntime" in message, "the end of the container's log says what went wrong"
    assert status(request_a.endpoint_name).serving == first.version
    assert versions_of(request_a.endpoint_name) == ([first.version], [first.version])


def test_an_endpoint_that_never_came_up_leaves_nothing_but_its_log(
    request_a: DeployRequest, tmp_path: Path
) -> None:
    with pytest.raises(DeploymentError, match="nothing serves") as failed:
        deploy(replace(request_a, model=broken_archive(tmp_path)))

    assert failed.value.serving_config is None
    facts = status(request_a.endpoint_name)
    assert (facts.status, facts.versions, facts.models) == (None, (), ())
    assert facts.log_group == f"/aws/sagemaker/Endpoints/{request_a.endpoint_name}"

    assert deploy(request_a).created
    assert invoke(request_a.endpoint_name)[0] > 0.99


def test_an_update_to_serverless_is_refused_and_changes_nothing(request_a: DeployRequest) -> None:
    first = deploy(request_a)

    with pytest.raises(RefusedError, match="model_build delete"):
        deploy(replace(request_a, serverless_memory_mb=2048))

    assert versions_of(request_a.endpoint_name) == ([first.version], [first.version])


def test_serverless_becomes_an_instance_in_place(request_a: DeployRequest) -> None:
    deploy(replace(request_a, serverless_memory_mb=2048))
    assert status(request_a.endpoint_name).serverless_memory_mb == 2048
    assert status(request_a.endpoint_name).usd_an_hour == 0

    deploy(replace(request_a, instance_type="ml.c5.large"))

    facts = status(request_a.endpoint_name)
    assert (facts.instance_type, facts.instances) == ("ml.c5.large", 1)
    assert facts.usd_an_hour == pytest.approx(0.102)


def scalable(name: str) -> dict[str, Any] | None:
    client = session().client("application-autoscaling")
    targets = client.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{name}/variant/AllTraffic"]
    )["ScalableTargets"]
    return dict(targets[0]) if targets else None


def test_scaling_comes_changes_and_goes_with_the_deployments(request_a: DeployRequest) -> None:
    name = request_a.endpoint_name
    deploy(replace(request_a, max_instances=3))
    assert status(name).scaling == (1, 3)

    deploy(replace(request_a, max_instances=5, instance_type="ml.c5.large"))
    assert status(name).scaling == (1, 5)

    deploy(replace(request_a, instance_type="ml.c5.large"))
    assert scalable(name) is None
    assert status(name).scaling is None


def test_scaling_is_put_back_when_the_new_version_fails(request_a: DeployRequest, tmp_path: Path) -> None:
    name = request_a.endpoint_name
    deploy(replace(request_a, max_instances=3))

    with pytest.raises(DeploymentError):
        deploy(replace(request_a, model=broken_archive(tmp_path), instance_type="ml.c5.large"))

    assert status(name).scaling == (1, 3)
    client = session().client("application-autoscaling")
    resource = f"endpoint/{name}/variant/AllTraffic"
    policies = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
    assert len(policies["ScalingPolicies"]) == 1


def test_delete_removes_all_of_one_endpoint_and_nothing_of_its_namesake(
    request_a: DeployRequest, tmp_path: Path
) -> None:
    name = request_a.endpoint_name
    namesake = replace(request_a, endpoint_name=f"{name[:38]}-dev")
    kept = deploy(namesake)
    deploy(replace(request_a, max_instances=2))
    deploy(replace(request_a, model=write_model(tmp_path / "b", ["blue", "red"]), max_instances=2))

    removed = delete(name)

    assert len(removed.configs) == len(removed.models) == 2
    facts = status(name)
    assert (facts.status, facts.versions, facts.models, facts.usd_an_hour) == (None, (), (), 0.0)
    assert scalable(name) is None
    assert delete(name).empty
    assert status(namesake.endpoint_name).serving == kept.version
    delete(namesake.endpoint_name)


def test_an_archive_of_a_training_job_deploys_from_s3_as_it_is(
    request_a: DeployRequest, tmp_path: Path
) -> None:
    # A job's archive: what train.py wrote, without the files that only Ray Serve looks for.
    whole = package_model(Path(request_a.model), tmp_path / "whole.tar.gz")
    job = tmp_path / "job.tar.gz"
    with tarfile.open(whole) as archive, tarfile.open(job, "w:gz") as smaller:
        for member in archive:
            if "/" in member.name or member.name in {"model.onnx", "manifest.json"}:
                smaller.addfile(member, archive.extractfile(member))
    session().client("s3").upload_file(str(job), BUCKET, "training/job-1/output/model.tar.gz")

    result = deploy(replace(request_a, model=f"s3://{BUCKET}/training/job-1/output/model.tar.gz"))

    assert invoke(request_a.endpoint_name)[0] > 0.99
    fetched = tmp_path / "deployed.tar.gz"
    session().client("s3").download_file(BUCKET, f"models/{result.version}/model.tar.gz", str(fetched))
    assert fetched.read_bytes() == job.read_bytes()


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


def test_a_model_brings_code_of_its_own_and_answers_as_the_built_in_algorithm(
    request_a: DeployRequest, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "built-in", ["red", "blue"])
    (model / "code").mkdir()
    (model / "code" / "inference.py").write_text(BUILT_IN, encoding="utf-8")

    deploy(replace(request_a, model=model))

    assert invoke(request_a.endpoint_name) == [0.9510304927825928, 0.048969559371471405]


def test_commands_deploy_show_and_delete(
    request_a: DeployRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = request_a.endpoint_name
    options = ["--model", str(request_a.model), "--role-arn", ROLE, "--bucket", BUCKET]

    assert main(["deploy", "--endpoint-name", name, "--image", "own", *options, "--json"]) == 0
    deployed = json.loads(capsys.readouterr().out)
    assert deployed["created"] is True

    assert main(["status", "--endpoint-name", name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["serving"]) == ("InService", deployed["version"])
    assert facts["usd_an_hour"] == pytest.approx(0.115)

    assert main(["status", "--endpoint-name", name]) == 0
    assert "$0.115 an hour" in capsys.readouterr().out

    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["delete", "--endpoint-name", name]) == 2, "a script must say --yes"
    assert "--yes" in capsys.readouterr().err
    assert invoke(name)[0] > 0.99

    assert main(["delete", "--endpoint-name", name, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == [deployed["version"]]
    assert main(["status", "--endpoint-name", name]) == 0
    assert f"endpoint {name} does not exist" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2), ("", 2)])
def test_delete_asks_a_person_first(
    request_a: DeployRequest,
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
