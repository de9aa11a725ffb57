"""From what is wanted to the steps: computed before any is taken, and shown by `--dry-run`.

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

from model_build.archive.container_images import ENVIRONMENT, OWN, RAY, known_image, serving_image
from model_build.archive.package import DEFAULT_MODEL, labels_in
from model_build.archive.prepare import place_of
from model_build.archive.trusted_code import TRUSTED_VARIABLE
from model_build.data.extract import digest
from model_build.endpoint.aws import LOGS_OF, ApiCall, ModelStack, retention_calls
from model_build.endpoint.found import FACTS, LABELS_TAG, SCALED, Found, only
from model_build.errors import RefusedError

DEFAULT_ENDPOINT: Final = "scones-vehicle-classifier"  # template.yaml's EndpointName has the same default
DEFAULT_INSTANCE_TYPE: Final = "ml.m5.large"
# CreateEndpoint's own pattern; the timestamp that names a version takes 20 of SageMaker's 63 characters.
ENDPOINT_NAME: Final = re.compile(r"(?=.{1,43}$)[a-zA-Z0-9](-*[a-zA-Z0-9])*")
INSTANCE_TYPE: Final = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
SERVERLESS_MEMORY_MB: Final = (1024, 2048, 3072, 4096, 5120, 6144)
VERSION_VARIABLE: Final = "MODEL_VERSION"  # serving/inference.py sends it with every answer
SCALING: Final = "application-autoscaling"
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
class Wanted:
    """A model behind an endpoint, as the options of `deploy` say it, which also bound its numbers."""

    model: Path | str = DEFAULT_MODEL
    endpoint_name: str = DEFAULT_ENDPOINT
    instance_type: str | None = None  # the default type, where it is not serverless
    instance_count: int = 1  # the minimum if the endpoint scales
    max_instances: int | None = None
    invocations_per_instance: int = 1000
    serverless_memory_mb: int | None = None  # None: on instances
    serverless_concurrency: int = 5
    capture: bool = False
    capture_percent: int = 100
    image: str = RAY
    trust_code: bool = False

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse; the RefusedError names the option and what to do instead."""
        known_image(self.image)
        least, most, kind = self.instance_count, self.max_instances, self.instance_type
        if not ENDPOINT_NAME.fullmatch(self.endpoint_name):
            raise RefusedError(
                f"--endpoint-name {self.endpoint_name!r}: give 1 to 43 letters, digits and hyphens, with a "
                "letter or digit at both ends (a timestamp is added for each version)"
            )
        if kind and not INSTANCE_TYPE.fullmatch(kind):
            raise RefusedError(f"--instance-type {kind!r}: give one such as {DEFAULT_INSTANCE_TYPE}")
        if least < 1:
            raise RefusedError(
                f"--instance-count {least}: give 1 or more; `scones model delete` ends the cost"
            )
        if most is not None and most < least:
            raise RefusedError(f"--max-instances {most}: give --instance-count, which is {least}, or more")
        if self.serverless_memory_mb is not None:
            self._check_serverless(self.serverless_memory_mb)

    def _check_serverless(self, memory: int) -> None:
        if memory not in SERVERLESS_MEMORY_MB:
            sizes = ", ".join(map(str, SERVERLESS_MEMORY_MB))
            raise RefusedError(f"--serverless-memory {memory}: give {sizes}")
        if self.instance_type:
            raise RefusedError("--instance-type and --serverless-memory exclude each other: omit one")
        if self.image == RAY:  # it needs /dev/shm
            raise RefusedError(f"--image {RAY} does not start on a serverless endpoint: give --image {OWN}")
        if self.capture:
            raise RefusedError("serverless endpoints capture no data: omit --capture or give --instance-type")
        if self.max_instances is not None:
            raise RefusedError("serverless endpoints scale by --serverless-concurrency: omit --max-instances")


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
    def data_url(self) -> str:
        """The `s3://` URI of the archive."""
        return str(self.model["PrimaryContainer"]["ModelDataUrl"])

    @property
    def variant(self) -> dict[str, Any]:
        """The production variant."""
        return dict(self.config["ProductionVariants"][0])


def wanted_version(wanted: Wanted, stack: ModelStack, archive: Archive, *, name: str, region: str) -> Version:
    """Return the version that is wanted; a RefusedError if its image is not known here."""
    variant: dict[str, Any] = {"VariantName": "AllTraffic", "ModelName": name}
    if wanted.serverless_memory_mb is None:
        number = {"InitialInstanceCount": wanted.instance_count, "InitialVariantWeight": 1.0}
        variant |= {"InstanceType": wanted.instance_type or DEFAULT_INSTANCE_TYPE, **number}
    else:
        memory, concurrency = wanted.serverless_memory_mb, wanted.serverless_concurrency
        variant["ServerlessConfig"] = {"MemorySizeInMB": memory, "MaxConcurrency": concurrency}
    instance = variant.get("InstanceType")
    uri, image = serving_image(wanted.image, region, repository=stack.repository, instance_type=instance)
    environment = ENVIRONMENT if image.archive_members else {}
    container = _container({"Image": uri, "Environment": environment}, archive, stack.bucket, name)
    model = {"ModelName": name, "ExecutionRoleArn": stack.role_arn, "PrimaryContainer": container}
    config: dict[str, Any] = {"EndpointConfigName": name, "ProductionVariants": [variant]}
    if wanted.capture:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": wanted.capture_percent,
            "DestinationS3Uri": f"s3://{stack.bucket}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            # Responses stay readable JSON text; photos, being neither CSV nor JSON, become base64.
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    return Version(archive, model, config, archive.manifest, _scaling(wanted))


def replaced_version(found: Found, archive: Archive, name: str) -> Version:
    """Return a version that differs from the serving one by its model only."""
    now = found.model or {}
    settings = {k: v for k, v in now["PrimaryContainer"].items() if k != "ModelDataSource"}
    container = _container(settings, archive, place_of(found.model_data_url)["Bucket"], name)
    model = {"ModelName": name, **only(_MODEL_SETTINGS, now), "PrimaryContainer": container}
    return Version(archive, model, same_config(found, name, name), archive.manifest, keeps_scaling=True)


def _container(settings: dict[str, Any], archive: Archive, bucket: str, version: str) -> dict[str, Any]:
    environment = {**settings.get("Environment", {}), VERSION_VARIABLE: version}
    environment.pop(TRUSTED_VARIABLE, None)
    if archive.has_foreign_code:
        environment[TRUSTED_VARIABLE] = archive.digest
    url = f"s3://{bucket}/models/{archive.digest}/model.tar.gz"
    return {**settings, "ModelDataUrl": url, "Environment": environment}


def same_config(found: Found, name: str, model_name: str) -> dict[str, Any]:
    """Return CreateEndpointConfig's parameters for another model with the settings of the serving one."""
    settings = only(_CONFIG_SETTINGS, found.config or {})
    variants = [{**found.variant, "ModelName": model_name}]
    return {"EndpointConfigName": name, "ProductionVariants": variants, **settings}


def _scaling(wanted: Wanted) -> tuple[ApiCall, ...]:
    if wanted.max_instances is None:
        return ()
    resource = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": SCALED.format(wanted.endpoint_name),
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    bounds = {"MinCapacity": wanted.instance_count, "MaxCapacity": wanted.max_instances}
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    policy = {
        "PolicyName": f"{wanted.endpoint_name}-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(wanted.invocations_per_instance),
            "PredefinedMetricSpecification": metric,
            "ScaleOutCooldown": 60,  # seconds; in only after the load has stayed away: a start takes minutes
            "ScaleInCooldown": 300,
        },
    }
    calls = (("RegisterScalableTarget", bounds), ("PutScalingPolicy", policy))
    return tuple(ApiCall(SCALING, operation, {**resource, **more}) for operation, more in calls)


def steps_to(version: Version, found: Found, *, uploaded: bool) -> list[Step]:
    """Return the steps after which the endpoint serves a version; a RefusedError if it can't change so."""
    _refuse_change(version, found)
    name, place, archive = found.endpoint_name, place_of(version.data_url), version.archive
    tag = Step(_tag(labels_in(version.manifest)), optional=True)
    if archive is None and found.variant.get("ModelName") == version.model["ModelName"]:
        return [tag]
    logs = () if found.logs_unknown else retention_calls(LOGS_OF + name, found.log_group)
    steps = [Step(call, optional=True) for call in logs]
    if found.status == "Failed":  # SageMaker allows nothing else
        steps.append(Step(_delete("Endpoint", name), settles=True))
    if archive and not uploaded:
        put = ApiCall("s3", "PutObject", {**place, "Metadata": archive.facts})
        # Not undone: named by its content, it serves the next try.
        steps.append(Step(put, upload=archive.path))
    steps += [_create("Model", version.model)] if archive else []
    steps.append(_create("EndpointConfig", version.config))
    serves = version.config["EndpointConfigName"]
    endpoint: dict[str, Any] = {"EndpointName": name, "EndpointConfigName": serves}
    if found.status == "InService":
        same_instances = version.variant.get("InstanceType") == found.variant.get("InstanceType")
        if found.scaling.targets and same_instances and (version.scaling or version.keeps_scaling):
            endpoint |= _RETAINED
        else:
            steps += _remove_scaling(found)
        steps.append(Step(ApiCall("sagemaker", "UpdateEndpoint", endpoint), settles=True, serves=serves))
    else:
        steps.append(replace(_create("Endpoint", endpoint), settles=True, serves=serves))
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
            "make it serverless in place: deploy under another --endpoint-name (EndpointName of the "
            f"application), or first `scones model delete --endpoint-name {name}`"
        )


def _create(kind: str, parameters: dict[str, Any]) -> Step:
    return Step(ApiCall("sagemaker", f"Create{kind}", parameters), _delete(kind, parameters[f"{kind}Name"]))


def _delete(kind: str, name: str) -> ApiCall:
    return ApiCall("sagemaker", f"Delete{kind}", {f"{kind}Name": name})


def _remove_scaling(found: Found) -> list[Step]:
    """Policies and alarms go, the number of instances stays."""
    names = ("PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension")
    policies = [("DeleteScalingPolicy", "PutScalingPolicy", one) for one in found.scaling.policies]
    targets = [("DeregisterScalableTarget", "RegisterScalableTarget", one) for one in found.scaling.targets]
    return [
        Step(ApiCall(SCALING, remove, only(names, one)), ApiCall(SCALING, restore, one))
        for remove, restore, one in [*policies, *targets]
    ]


def _tag(labels: Sequence[str] | None) -> ApiCall:
    """Tag the endpoint with the labels, for those who compare them with theirs; or remove the tag."""
    value, resource = " ".join(labels or ()), {"ResourceArn": "<EndpointArn>"}  # known only once it exists
    if not value or len(value) > MAX_TAG_VALUE or not all(map(_LABEL.fullmatch, labels or ())):
        return ApiCall("sagemaker", "DeleteTags", {**resource, "TagKeys": [LABELS_TAG]})
    return ApiCall("sagemaker", "AddTags", {**resource, "Tags": [{"Key": LABELS_TAG, "Value": value}]})
