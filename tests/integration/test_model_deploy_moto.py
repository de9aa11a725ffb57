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

from model_build.artifact import own_image
from model_build.artifact.package import package_model
from model_build.endpoint.delete import delete
from model_build.endpoint.deploy import DeployRequest, deploy
from model_build.endpoint.status import endpoint_status
from model_build.errors import CloudError, DeploymentError, RefusedError
from tests.support.serving_image import provide_own_image
from tests.support.tiny_model import write_model

ACCOUNT, REGION, BUCKET = "123456789012", "us-east-1", "scones-models"
READS = {
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
def asked(tmp_path: Path) -> DeployRequest:
    archive = package_model(write_model(tmp_path / "model", ["red", "blue"]), tmp_path / "model.tar.gz")
    role = f"arn:aws:iam::{ACCOUNT}:role/scones-model"
    return DeployRequest(model=archive, endpoint_name="scones", role_arn=role, bucket=BUCKET, image="own")


def test_a_new_endpoint_is_uploaded_modelled_configured_created_and_scaled_in_this_order(
    cloud: Cloud, asked: DeployRequest
) -> None:
    result = deploy(replace(asked, capture=True, max_instances=3), session=cloud.session)

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
    facts = endpoint_status("scones", session=cloud.session)
    assert (facts.status, facts.serving, facts.capture) == ("InService", result.version, True)
    assert facts.scaling == (1, 3)
    assert facts.labels == ("red", "blue")
    assert facts.log_group == GROUP


def test_an_update_keeps_the_endpoint_and_makes_a_new_version(cloud: Cloud, asked: DeployRequest) -> None:
    first = deploy(asked, session=cloud.session)
    cloud.calls.clear()

    second = deploy(asked, session=cloud.session)

    assert cloud.changes() == ["CreateLogGroup", *VERSION, "UpdateEndpoint", "AddTags"]
    assert dict(cloud.calls)["UpdateEndpoint"] == {
        "EndpointName": "scones",
        "EndpointConfigName": second.version,
    }
    assert not second.created
    assert first.version < second.version
    facts = endpoint_status("scones", session=cloud.session)
    assert facts.versions == facts.models == (first.version, second.version)


def test_an_endpoint_that_scaled_out_keeps_its_instances(cloud: Cloud, asked: DeployRequest) -> None:
    deploy(replace(asked, max_instances=3), session=cloud.session)
    cloud.calls.clear()

    deploy(replace(asked, max_instances=3), session=cloud.session)

    update = dict(cloud.calls)["UpdateEndpoint"]
    assert update["RetainAllVariantProperties"] is True
    assert {"VariantPropertyType": "DataCaptureConfig"} in update["ExcludeRetainedVariantProperties"]
    assert "DeregisterScalableTarget" not in cloud.changes()


def test_scaling_is_off_while_the_instance_type_changes(cloud: Cloud, asked: DeployRequest) -> None:
    deploy(replace(asked, max_instances=3), session=cloud.session)
    cloud.calls.clear()

    deploy(replace(asked, max_instances=3, instance_type="ml.c5.large"), session=cloud.session)

    changes = cloud.changes()
    assert changes.index("DeregisterScalableTarget") < changes.index("UpdateEndpoint")
    assert changes.index("UpdateEndpoint") < changes.index("RegisterScalableTarget")
    assert "RetainAllVariantProperties" not in dict(cloud.calls)["UpdateEndpoint"]


def test_in_service_on_the_old_configuration_is_noticed(cloud: Cloud, asked: DeployRequest) -> None:
    first = deploy(asked, session=cloud.session)
    cloud.update_ends_in = "rollback"

    with pytest.raises(DeploymentError, match="rolled back") as failed:
        deploy(asked, session=cloud.session)

    assert failed.value.serving_config == first.version
    facts = endpoint_status("scones", session=cloud.session)
    assert facts.serving == first.version
    assert facts.versions == facts.models == (first.version,), "the failed version is removed again"
    assert archives(cloud) == [f"models/{first.version}/model.tar.gz"]


def archives(cloud: Cloud) -> list[str]:
    found = cloud.session.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [item["Key"] for item in found]


@pytest.mark.parametrize("operation", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
def test_a_refused_call_leaves_nothing_behind(cloud: Cloud, asked: DeployRequest, operation: str) -> None:
    def refuse(model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        if model.name != operation:
            return None
        error = {"Code": "ValidationException", "Message": "Serverless inference is not supported"}
        return type("Answer", (), {"status_code": 400})(), {"Error": error}

    events: Any = cloud.session.events
    events.register("before-call.sagemaker.*", refuse)

    with pytest.raises(CloudError, match=r"Serverless inference is not supported.*give --instance-type"):
        deploy(replace(asked, serverless_memory_mb=2048), session=cloud.session)

    facts = endpoint_status("scones", session=cloud.session)
    assert (facts.status, facts.versions, facts.models) == (None, (), ())
    assert archives(cloud) == []


def test_an_endpoint_that_never_comes_into_service_is_removed(
    cloud: Cloud, asked: DeployRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = FakeEndpoint.__init__

    def fail(endpoint: Any, *args: Any, **kwargs: Any) -> None:
        create(endpoint, *args, **kwargs)
        endpoint.endpoint_status = "Failed"
        endpoint.failure_reason = "no capacity"

    monkeypatch.setattr(FakeEndpoint, "__init__", fail)

    with pytest.raises(DeploymentError, match="nothing serves: no capacity"):
        deploy(asked, session=cloud.session)

    facts = endpoint_status("scones", session=cloud.session)
    assert (facts.status, facts.versions, facts.models) == (None, (), ())
    assert archives(cloud) == []
    assert facts.log_group == GROUP, "the log, which says why, stays"


def test_logs_expire_unless_somebody_chose_otherwise(cloud: Cloud, asked: DeployRequest) -> None:
    logs = cloud.session.client("logs")

    deploy(asked, session=cloud.session)
    (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 30

    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=365)
    deploy(asked, session=cloud.session)
    (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 365

    logs.delete_retention_policy(logGroupName=GROUP)
    deploy(asked, session=cloud.session)
    (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 30


def test_logs_are_deleted_only_if_asked_for(cloud: Cloud, asked: DeployRequest) -> None:
    deploy(asked, session=cloud.session)
    delete("scones", session=cloud.session)
    assert endpoint_status("scones", session=cloud.session).log_group == GROUP

    delete("scones", session=cloud.session, logs=True)
    assert endpoint_status("scones", session=cloud.session).log_group is None


def test_an_image_that_was_not_pushed_is_refused_before_anything_changes(
    cloud: Cloud, asked: DeployRequest
) -> None:
    cloud.session.client("ecr").delete_repository(repositoryName=own_image.REPOSITORY, force=True)
    cloud.calls.clear()

    with pytest.raises(RefusedError, match="image push"):
        deploy(asked, session=cloud.session)

    assert cloud.changes() == []


def test_labels_that_are_not_known_are_no_tag(cloud: Cloud, asked: DeployRequest, tmp_path: Path) -> None:
    deploy(asked, session=cloud.session)
    model = write_model(tmp_path / "spaces", ["red", "blue"])
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    (model / "manifest.json").write_text(
        json.dumps({**manifest, "labels": (names := ["sports car", "blue"]), "outputs": names})
    )

    deploy(replace(asked, model=model), session=cloud.session)

    assert endpoint_status("scones", session=cloud.session).labels is None


def test_a_failed_endpoint_is_deleted_and_made_anew(cloud: Cloud, asked: DeployRequest) -> None:
    deploy(asked, session=cloud.session)
    cloud.endpoint("scones").endpoint_status = "Failed"
    cloud.calls.clear()

    result = deploy(asked, session=cloud.session)

    changes = cloud.changes()
    assert changes.index("DeleteEndpoint") < changes.index("CreateEndpoint")
    assert "UpdateEndpoint" not in changes
    assert result.created


def test_delete_removes_scaling_endpoint_configurations_and_models(
    cloud: Cloud, asked: DeployRequest
) -> None:
    deploy(replace(asked, max_instances=3), session=cloud.session)
    deploy(replace(asked, max_instances=3), session=cloud.session)
    kept = deploy(replace(asked, endpoint_name="scones-dev"), session=cloud.session)
    cloud.calls.clear()

    removed = delete("scones", session=cloud.session)

    assert len(removed.models) == 2
    assert cloud.changes().count("DeleteEndpointConfig") == cloud.changes().count("DeleteModel") == 2
    assert cloud.changes().index("DeregisterScalableTarget") < cloud.changes().index("DeleteEndpoint")
    facts = endpoint_status("scones", session=cloud.session)
    assert (facts.status, facts.versions, facts.models, facts.scaling) == (None, (), (), None)
    assert endpoint_status("scones-dev", session=cloud.session).serving == kept.version
