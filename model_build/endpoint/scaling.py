"""Auto scaling of an endpoint's instances, and how it survives an update.

AWS refuses to update an endpoint to another instance type while Application Auto Scaling manages its
instances, and an update sets the number of instances back to the configuration's unless it is told to retain
it. So the scaling is taken off before such an update, and put back when the update fails and the old version
goes on serving.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from model_build.endpoint.requests import ApiCall, scaling_resource

if TYPE_CHECKING:
    import boto3

    from model_build.endpoint.requests import EndpointRequests

_TARGET_FIELDS = ("ServiceNamespace", "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity")
_POLICY_FIELDS = (
    "PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension", "PolicyType",
    "StepScalingPolicyConfiguration", "TargetTrackingScalingPolicyConfiguration",
)  # fmt: skip


@dataclass(frozen=True)
class Scaling:
    """How an endpoint scales at present.

    Attributes:
        targets: what Application Auto Scaling manages of it; empty when the number of instances is fixed.
        policies: by what rules.
        unknown: why the two could not be read; empty when they could.
    """

    targets: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)
    unknown: str = ""


def read_scaling(session: boto3.Session, endpoint_name: str) -> Scaling:
    """Reads an endpoint's scaling. Where it can't be read, `unknown` says why."""
    resource = scaling_resource(endpoint_name)
    client = session.client("application-autoscaling")
    try:
        targets = client.describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[resource["ResourceId"]]
        )["ScalableTargets"]
        policies = client.describe_scaling_policies(
            ServiceNamespace="sagemaker", ResourceId=resource["ResourceId"]
        )["ScalingPolicies"]
    except (ClientError, BotoCoreError) as error:
        return Scaling(unknown=str(error))
    return Scaling(
        [_only(_TARGET_FIELDS, target) for target in targets], [_only(_POLICY_FIELDS, p) for p in policies]
    )


def _only(fields: tuple[str, ...], description: Any) -> dict[str, Any]:
    return {name: description[name] for name in fields if name in description}


def remove_scaling(session: boto3.Session, scaling: Scaling) -> None:
    """Takes the scaling off; policies and alarms go with it, the instances stay as many as they are."""
    client = session.client("application-autoscaling")
    for policy in scaling.policies:
        client.delete_scaling_policy(**_only(_POLICY_FIELDS[:4], policy))
    for target in scaling.targets:
        client.deregister_scalable_target(**_only(_TARGET_FIELDS[:3], target))


def restore_scaling(session: boto3.Session, scaling: Scaling) -> None:
    """Puts scaling that was taken off back as it was."""
    client = session.client("application-autoscaling")
    for target in scaling.targets:
        client.register_scalable_target(**target)
    for policy in scaling.policies:
        client.put_scaling_policy(**policy)


def retain_instance_count(update: ApiCall) -> ApiCall:
    """Lets an endpoint that has scaled out keep its instances; all else comes from the new version."""
    return replace(
        update,
        parameters={
            **update.parameters,
            "RetainAllVariantProperties": True,
            "ExcludeRetainedVariantProperties": [
                {"VariantPropertyType": "DesiredWeight"},
                {"VariantPropertyType": "DataCaptureConfig"},
            ],
        },
    )


def may_keep_scaling(current_variant: dict[str, Any], requests: EndpointRequests) -> bool:
    """Whether the scaling can stay through the update: it goes on, and the instance type is the same."""
    new_variant = requests.create_endpoint_config.parameters["ProductionVariants"][0]
    return bool(requests.scaling) and new_variant.get("InstanceType") == current_variant.get("InstanceType")
