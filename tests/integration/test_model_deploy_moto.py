"""Deploying against moto: the requests that reach SageMaker, one by one, and what is left of them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.sagemaker.models import FakeEndpoint, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from model_build.archive import own_image
from model_build.archive.package import package_model
from model_build.endpoint.deploy import DeployResult
from model_build.endpoint.wanted import Wanted
from model_build.errors import CloudError, DeploymentError, RefusedError
from tests.support import deployment
from tests.support.deployment import delete, status
from tests.support.serving_image import provide_own_image
from tests.support.tiny_model import write_model

ACCOUNT, REGION, BUCKET = "123456789012", "us-east-1", "scones-models"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/scones-model"
READS = {
    "DescribeModel",
    "HeadObject",
    "ListEndpointConfigs",
    "ListModels",
    "ListTags",
    "BatchGetImage",
    "DescribeEndpoint",
    "DescribeEndpointConfig",
    "DescribeLogGroups",
    "DescribeScalableTargets",
    "DescribeScalingPolicies",
}
LOGS = ["CreateLogGroup", "PutRetentionPolicy"]
VERSION = ["PutObject", "CreateModel", "CreateEndpointConfig"]
GROUP = "/aws/sagemaker/Endpoints/scones"


class Cloud:
    """A session on moto, and the calls that went over it."""

    def __init__(self) -> None:
        self.session = boto3.Session()
        self.session.client("s3").create_bucket(Bucket=BUCKET)
        provide_own_image(self.session.client("ecr"))
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.update_ends_in = "InService"
        self.session.events.register("provide-client-params.*.*", self._record)

    def _record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.name, dict(params)))

    def changes(self) -> list[str]:
        """Names of the operations that change something."""
        return [name for name, _ in self.calls if name not in READS]

    def endpoint(self, name: str) -> FakeEndpoint:
        """Moto's record of an endpoint."""
        return sagemaker_backends[ACCOUNT][REGION].endpoints[name]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        made = Cloud()

        def update_endpoint(response: SageMakerResponse) -> str:
            # moto has no UpdateEndpoint. SageMaker's ends in service: on the new configuration, or the old.
            asked = json.loads(response.body)
            endpoint = made.endpoint(asked["EndpointName"])
            endpoint.endpoint_status = "InService"
            if made.update_ends_in == "InService":
                endpoint.endpoint_config_name = asked["EndpointConfigName"]
            return json.dumps({"EndpointArn": endpoint.arn})

        monkeypatch.setattr(SageMakerResponse, "update_endpoint", update_endpoint, raising=False)
        yield made


@pytest.fixture
def asked(tmp_path: Path) -> Wanted:
    archive = package_model(write_model(tmp_path / "model", ["red", "blue"]), tmp_path / "model.tar.gz")
    return Wanted(model=archive, endpoint_name="scones", image="own")


def deploy(wanted: Wanted, session: boto3.Session) -> DeployResult:
    return deployment.deploy(wanted, role=ROLE, bucket=BUCKET, session=session)


def test_a_new_endpoint_is_uploaded_modelled_configured_created_and_scaled_in_this_order(
    cloud: Cloud, asked: Wanted
) -> None:
    result = deploy(replace(asked, capture=True, max_instances=3), cloud.session)

    assert cloud.changes() == [
        *LOGS,
        *VERSION,
        "CreateEndpoint",
        "AddTags",
        "RegisterScalableTarget",
        "PutScalingPolicy",
    ]
    sent = dict(cloud.calls)
    assert (
        sent["CreateModel"]["ModelName"]
        == sent["CreateEndpointConfig"]["EndpointConfigName"]
        == result.version
    )
    assert sent["CreateEndpointConfig"]["DataCaptureConfig"]["EnableCapture"] is True
    facts = status("scones", cloud.session)
    assert (facts.status, facts.serving, facts.capture) == ("InService", result.version, True)
    assert facts.scaling == (1, 3)
    assert facts.labels == ("red", "blue")
    assert facts.log_group == GROUP


def test_in_service_on_the_old_configuration_is_noticed(cloud: Cloud, asked: Wanted) -> None:
    first = deploy(asked, cloud.session)
    cloud.update_ends_in = "rollback"

    with pytest.raises(DeploymentError, match="rolled back") as failed:
        deploy(asked, cloud.session)

    assert failed.value.serving_config == first.version
    facts = status("scones", cloud.session)
    assert facts.serving == first.version
    assert facts.versions == facts.models == (first.version,), "the failed version is removed again"
    assert archives(cloud) == [first.model_data_url.removeprefix(f"s3://{BUCKET}/")]


def archives(cloud: Cloud) -> list[str]:
    found = cloud.session.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [item["Key"] for item in found]


@pytest.mark.parametrize("operation", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
def test_a_refused_call_leaves_nothing_behind(cloud: Cloud, asked: Wanted, operation: str) -> None:
    def refuse(model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        if model.name != operation:
            return None
        error = {"Code": "ValidationException", "Message": "Serverless inference is not supported"}
        return type("Answer", (), {"status_code": 400})(), {"Error": error}

    events: Any = cloud.session.events
    events.register("before-call.sagemaker.*", refuse)

    with pytest.raises(CloudError, match=r"Serverless inference is not supported.*give --instance-type"):
        deploy(replace(asked, serverless_memory_mb=2048), cloud.session)

    facts = status("scones", cloud.session)
    assert (facts.status, facts.versions, facts.models) == (None, (), ())
    assert archives(cloud) == []


def test_logs_expire_unless_somebody_chose_otherwise(cloud: Cloud, asked: Wanted) -> None:
    logs = cloud.session.client("logs")

    deploy(asked, cloud.session)
    (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 30

    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=365)
    deploy(asked, cloud.session)
    (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 365

    logs.delete_retention_policy(logGroupName=GROUP)
    deploy(asked, cloud.session)
    (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 30


def test_logs_are_deleted_only_if_asked_for(cloud: Cloud, asked: Wanted) -> None:
    deploy(asked, cloud.session)
    delete("scones", cloud.session)
    assert status("scones", cloud.session).log_group == GROUP

    delete("scones", cloud.session, logs=True)
    assert status("scones", cloud.session).log_group is None


def test_an_image_that_was_not_pushed_is_refused_before_anything_changes(cloud: Cloud, asked: Wanted) -> None:
    cloud.session.client("ecr").delete_repository(repositoryName=own_image.REPOSITORY, force=True)
    cloud.calls.clear()

    with pytest.raises(RefusedError, match="image push"):
        deploy(asked, cloud.session)

    assert cloud.changes() == []


def test_delete_removes_scaling_endpoint_configurations_and_models(cloud: Cloud, asked: Wanted) -> None:
    deploy(replace(asked, max_instances=3), cloud.session)
    deploy(replace(asked, max_instances=3), cloud.session)
    kept = deploy(replace(asked, endpoint_name="scones-dev"), cloud.session)
    cloud.calls.clear()

    removed = delete("scones", cloud.session)

    assert len(removed.models) == 2
    assert cloud.changes().count("DeleteEndpointConfig") == cloud.changes().count("DeleteModel") == 2
    assert cloud.changes().index("DeregisterScalableTarget") < cloud.changes().index("DeleteEndpoint")
    facts = status("scones", cloud.session)
    assert (facts.status, facts.versions, facts.models, facts.scaling) == (None, (), (), None)
    assert status("scones-dev", cloud.session).serving == kept.version
