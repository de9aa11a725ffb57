"""The steps from what is found to what is wanted: computed before any is taken, and shown by `--dry-run`.

AWS refuses another instance type while Application Auto Scaling manages the instances, and an update sets
their number back unless it is told to retain it. So scaling is removed before such an update, whose failure
restores it, and retained otherwise.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from model_build.archive.container_images import serving_image
from model_build.archive.package import labels_in
from model_build.archive.prepare import place_of
from model_build.archive.trusted_code import TRUSTED_VARIABLE
from model_build.data.digests import digest
from model_build.endpoint.aws import ApiCall, ModelStack, endpoint_log_group, retention_calls
from model_build.endpoint.found import FACTS, LABELS_TAG, Found, only, scaled_resource
from model_build.endpoint.wanted import DEFAULT_INSTANCE_TYPE, Wanted
from model_build.errors import RefusedError

VERSION_VARIABLE: Final = "MODEL_VERSION"  # serving/inference.py sends it with every answer
ENDPOINT_ARN: Final = "<EndpointArn>"  # known only once the endpoint exists
SCALING: Final = "application-autoscaling"
METRIC: Final = "SageMakerVariantInvocationsPerInstance"
# Out at once, in only after the load has stayed away: a new instance takes minutes to start.
COOLDOWNS_S: Final = {"ScaleOutCooldown": 60, "ScaleInCooldown": 300}
MAX_TAG_VALUE: Final = 256
MAX_METADATA: Final = 2000  # S3 allows 2 KB with the names
# What AWS allows in a tag's value, without the space that separates the labels.
_LABEL: Final = re.compile(r"[\w.:/=+\-@]+")
# What DescribeModel and DescribeEndpointConfig answer and CreateModel and CreateEndpointConfig take.
_MODEL_SETTINGS: Final = ("ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation")
_CONFIG_SETTINGS: Final = ("DataCaptureConfig", "KmsKeyId", *_MODEL_SETTINGS)
# Keeps the instances of an endpoint that has scaled out; all else comes from the new version.
_CHANGED: Final = [{"VariantPropertyType": kind} for kind in ("DesiredWeight", "DataCaptureConfig")]
_RETAINED: Final = {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": _CHANGED}


@dataclass(frozen=True)
class Step:
    """One call of the way."""

    call: ApiCall
    undo: ApiCall | None = None  # takes it back
    upload: Path | None = None  # the file that the call uploads
    settles: bool = False  # the endpoint changes, which is then waited for
    serves: str = ""  # the version that it must serve afterwards; empty: it must be gone, if it settles
    optional: bool = False  # when AWS refuses the call, the way goes on with a notice


@dataclass(frozen=True)
class Archive:
    """A model.tar.gz that is ready to be served; its manifest is {} where it has none of this project's."""

    path: Path
    manifest: Mapping[str, Any]
    has_foreign_code: bool

    @property
    def facts(self) -> dict[str, str]:
        """What S3 keeps beside the archive, for `model list` and `use`: labels, threshold, figures."""
        facts = only(("labels", "default_threshold", "metrics"), self.manifest)
        text = json.dumps(facts, separators=(",", ":"))
        return {FACTS: text} if len(text) < MAX_METADATA else {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return digest(self.path)


@dataclass(frozen=True)
class Version:
    """A model to deploy."""

    archive: Archive | None  # None for a model that SageMaker has already
    model: dict[str, Any]  # CreateModel's parameters; ModelDataUrl is where the archive belongs
    config: dict[str, Any]  # CreateEndpointConfig's parameters
    manifest: Mapping[str, Any]  # the model's, as far as it is known
    scaling: tuple[ApiCall, ...] = ()  # the calls that let the endpoint scale; none: a fixed number
    keeps_scaling: bool = False  # the endpoint goes on scaling as it does

    @property
    def name(self) -> str:
        """The name of the configuration."""
        return str(self.config["EndpointConfigName"])

    @property
    def data_url(self) -> str:
        """The `s3://` URI of the archive."""
        return str(self.model["PrimaryContainer"]["ModelDataUrl"])

    @property
    def variant(self) -> dict[str, Any]:
        """The production variant."""
        return dict(self.config["ProductionVariants"][0])


def wanted_version(wanted: Wanted, stack: ModelStack, archive: Archive, *, name: str, region: str) -> Version:
    """Return the version that is wanted; a RefusedError if its image is not known here."""
    variant = {"VariantName": "AllTraffic", "ModelName": name, **_hosting(wanted)}
    instance = variant.get("InstanceType")
    uri, image = serving_image(wanted.image, region, repository=stack.repository, instance_type=instance)
    container = _container({"Image": uri, "Environment": image.environment}, archive, stack.bucket, name)
    model = {"ModelName": name, "ExecutionRoleArn": stack.role_arn, "PrimaryContainer": container}
    config = {"EndpointConfigName": name, "ProductionVariants": [variant], **_capture(wanted, stack.bucket)}
    return Version(archive, model, config, archive.manifest, _scaling(wanted))


def replaced_version(found: Found, archive: Archive, name: str) -> Version:
    """Return a version that differs from the serving one by its model only."""
    now = found.model or {}
    settings = {k: v for k, v in now["PrimaryContainer"].items() if k != "ModelDataSource"}
    container = _container(settings, archive, place_of(found.model_data_url)["Bucket"], name)
    model = {"ModelName": name, **only(_MODEL_SETTINGS, now), "PrimaryContainer": container}
    return Version(archive, model, _same_config(found, name, name), archive.manifest, keeps_scaling=True)


def used_version(found: Found, model: dict[str, Any], manifest: Mapping[str, Any], name: str) -> Version:
    """Return a version of a model that SageMaker has, with the settings of the serving one."""
    return Version(None, model, _same_config(found, name, model["ModelName"]), manifest, keeps_scaling=True)


def steps_to(version: Version, found: Found, *, uploaded: bool) -> list[Step]:
    """Return the steps after which the endpoint serves a version, whose archive may be `uploaded` already.

    Raises:
        RefusedError: SageMaker does not allow the change now, or not in place.
    """
    _refuse_change(version, found)
    name, place, archive = found.endpoint_name, place_of(version.data_url), version.archive
    tag = Step(_tag(labels_in(version.manifest)), optional=True)
    if archive is None and found.variant.get("ModelName") == version.model["ModelName"]:
        return [tag]
    logs = () if found.logs_unknown else retention_calls(endpoint_log_group(name), found.log_group)
    steps = [Step(call, optional=True) for call in logs]
    if found.status == "Failed":  # SageMaker allows nothing else
        steps.append(Step(_delete("Endpoint", name), settles=True))
    if archive and not uploaded:
        put = ApiCall("s3", "PutObject", {**place, "Metadata": archive.facts})
        steps.append(Step(put, ApiCall("s3", "DeleteObject", place), upload=archive.path))
    steps += [_create("Model", version.model)] if archive else []
    steps.append(_create("EndpointConfig", version.config))
    endpoint: dict[str, Any] = {"EndpointName": name, "EndpointConfigName": version.name}
    if found.status == "InService":
        same_instances = version.variant.get("InstanceType") == found.variant.get("InstanceType")
        if found.scaling.targets and same_instances and (version.scaling or version.keeps_scaling):
            endpoint |= _RETAINED
        else:
            steps += _remove_scaling(found)
        update = ApiCall("sagemaker", "UpdateEndpoint", endpoint)
        steps.append(Step(update, settles=True, serves=version.name))
    else:
        steps.append(replace(_create("Endpoint", endpoint), settles=True, serves=version.name))
    return [*steps, tag, *(Step(call) for call in version.scaling)]


def steps_to_nothing(found: Found, *, logs: bool) -> list[Step]:
    """Return the steps after which nothing of an endpoint exists but its data in S3 and, maybe, logs."""
    steps = _remove_scaling(found)
    if found.endpoint:
        operation = "DescribeEndpoint" if found.status == "Deleting" else "DeleteEndpoint"
        call = ApiCall("sagemaker", operation, {"EndpointName": found.endpoint_name})
        steps.append(Step(call, settles=True))
    steps += [Step(_delete("EndpointConfig", name)) for name in found.configs]
    steps += [Step(_delete("Model", name)) for name in found.models]
    if logs and found.log_group:
        steps.append(Step(ApiCall("logs", "DeleteLogGroup", only(("logGroupName",), found.log_group))))
    return steps


def _refuse_change(version: Version, found: Found) -> None:
    name = found.endpoint_name
    if found.status not in {None, "Failed", "InService"}:
        raise RefusedError(
            f"endpoint {name} is {found.status}: wait until it is in service "
            f"(`scones model status --endpoint-name {name}`), or delete it"
        )
    on_instances = found.status == "InService" and "ServerlessConfig" not in found.variant
    if on_instances and "ServerlessConfig" in version.variant:
        raise RefusedError(
            f"endpoint {name} runs on {found.variant.get('InstanceType', 'instances')}, and SageMaker can't "
            "make it serverless in place: deploy under another --endpoint-name and give the application that "
            f"name (sam deploy --parameter-overrides EndpointName=…), or first `scones model delete "
            f"--endpoint-name {name}`, and nothing answers until the new one does"
        )


def _same_config(found: Found, name: str, model_name: str) -> dict[str, Any]:
    settings = only(_CONFIG_SETTINGS, found.config or {})
    variants = [{**found.variant, "ModelName": model_name}]
    return {"EndpointConfigName": name, "ProductionVariants": variants, **settings}


def _create(kind: str, parameters: dict[str, Any]) -> Step:
    return Step(ApiCall("sagemaker", f"Create{kind}", parameters), _delete(kind, parameters[f"{kind}Name"]))


def _delete(kind: str, name: str) -> ApiCall:
    return ApiCall("sagemaker", f"Delete{kind}", {f"{kind}Name": name})


def _remove_scaling(found: Found) -> list[Step]:
    """Policies and alarms go, the number of instances stays."""
    names = ("PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension")
    kinds = (("DeleteScalingPolicy", "PutScalingPolicy", found.scaling.policies),
             ("DeregisterScalableTarget", "RegisterScalableTarget", found.scaling.targets))  # fmt: skip
    return [
        Step(ApiCall(SCALING, remove, only(names, one)), ApiCall(SCALING, restore, one))
        for remove, restore, existing in kinds
        for one in existing
    ]


def _scaling(wanted: Wanted) -> tuple[ApiCall, ...]:
    if wanted.max_instances is None:
        return ()
    resource = scaled_resource(wanted.endpoint_name)
    bounds = {"MinCapacity": wanted.instance_count, "MaxCapacity": wanted.max_instances}
    policy = {
        "PolicyName": f"{wanted.endpoint_name}-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(wanted.invocations_per_instance),
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
            **COOLDOWNS_S,
        },
    }
    calls = (("RegisterScalableTarget", bounds), ("PutScalingPolicy", policy))
    return tuple(ApiCall(SCALING, operation, {**resource, **more}) for operation, more in calls)


def _tag(labels: Sequence[str] | None) -> ApiCall:
    """Tag the endpoint with the labels, for those who compare them with theirs; or remove the tag."""
    value, resource = " ".join(labels or ()), {"ResourceArn": ENDPOINT_ARN}
    if not value or len(value) > MAX_TAG_VALUE or not all(map(_LABEL.fullmatch, labels or ())):
        return ApiCall("sagemaker", "DeleteTags", {**resource, "TagKeys": [LABELS_TAG]})
    return ApiCall("sagemaker", "AddTags", {**resource, "Tags": [{"Key": LABELS_TAG, "Value": value}]})


def _container(settings: dict[str, Any], archive: Archive, bucket: str, version: str) -> dict[str, Any]:
    environment = {**settings.get("Environment", {}), VERSION_VARIABLE: version}
    environment.pop(TRUSTED_VARIABLE, None)
    if archive.has_foreign_code:
        environment[TRUSTED_VARIABLE] = archive.digest
    url = f"s3://{bucket}/models/{archive.digest}/model.tar.gz"
    return {**settings, "ModelDataUrl": url, "Environment": environment}


def _hosting(wanted: Wanted) -> dict[str, Any]:
    if wanted.serverless:
        memory, concurrency = wanted.serverless_memory_mb, wanted.serverless_concurrency
        return {"ServerlessConfig": {"MemorySizeInMB": memory, "MaxConcurrency": concurrency}}
    return {
        "InstanceType": wanted.instance_type or DEFAULT_INSTANCE_TYPE,
        "InitialInstanceCount": wanted.instance_count,
        "InitialVariantWeight": 1.0,
    }


def _capture(wanted: Wanted, bucket: str) -> dict[str, Any]:
    if not wanted.capture:
        return {}
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": wanted.capture_percent,
            "DestinationS3Uri": f"s3://{bucket}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            # Responses stay readable JSON text; photos, being neither CSV nor JSON, become base64.
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    }
