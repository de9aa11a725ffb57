"""Auto scaling of an endpoint's instances, and how it survives an update.

AWS refuses to update an endpoint to another instance type while Application Auto Scaling manages its
instances, and an update sets the number of instances back to the configuration's unless it is told to retain
it. So the scaling is removed before such an update, and restored if the update fails and the old version
keeps serving.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from model_build.endpoint.aws import ApiCall

SERVICE: Final = "application-autoscaling"
VARIANT: Final = "AllTraffic"
SCALABLE_DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"
# Out at once, in only after the load has stayed away: a new instance takes minutes to start.
SCALE_OUT_COOLDOWN_S: Final = 60
SCALE_IN_COOLDOWN_S: Final = 300
_TARGET_FIELDS: Final = ("ServiceNamespace", "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity")
_POLICY_FIELDS: Final = (
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

    targets: tuple[dict[str, Any], ...] = ()
    policies: tuple[dict[str, Any], ...] = ()
    unknown: str = ""

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest number of instances; None when the number is fixed."""
        if not self.targets:
            return None
        return self.targets[0]["MinCapacity"], self.targets[0]["MaxCapacity"]


def scaling_calls(
    endpoint_name: str, *, instances: tuple[int, int], invocations_per_instance: int
) -> tuple[ApiCall, ...]:
    """Compute the calls that let an endpoint scale.

    Args:
        endpoint_name: the endpoint, which must be in service.
        instances: the least and the greatest number of instances.
        invocations_per_instance: requests a minute and instance that scaling aims at.
    """
    resource = _resource(endpoint_name)
    when = "the endpoint is in service"
    target = {**resource, "MinCapacity": instances[0], "MaxCapacity": instances[1]}
    policy = {
        **resource,
        "PolicyName": f"{endpoint_name}-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(invocations_per_instance),
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleOutCooldown": SCALE_OUT_COOLDOWN_S,
            "ScaleInCooldown": SCALE_IN_COOLDOWN_S,
        },
    }
    return (
        ApiCall(SERVICE, "RegisterScalableTarget", target, when=when),
        ApiCall(SERVICE, "PutScalingPolicy", policy, when=when),
    )


def read_scaling(session: boto3.Session, endpoint_name: str) -> Scaling:
    """Return an endpoint's scaling. Where it can't be read, `unknown` says why."""
    resource_id = _resource(endpoint_name)["ResourceId"]
    client = session.client("application-autoscaling")
    try:
        targets = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource_id])
        policies = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource_id)
    except (ClientError, BotoCoreError) as error:
        return Scaling(unknown=str(error))
    return Scaling(
        tuple(_only(_TARGET_FIELDS, target) for target in targets["ScalableTargets"]),
        tuple(_only(_POLICY_FIELDS, policy) for policy in policies["ScalingPolicies"]),
    )


def remove_scaling(session: boto3.Session, scaling: Scaling) -> None:
    """Remove the scaling; policies and alarms go with it, the number of instances stays."""
    client = session.client("application-autoscaling")
    for policy in scaling.policies:
        client.delete_scaling_policy(**_only(_POLICY_FIELDS[:4], policy))
    for target in scaling.targets:
        client.deregister_scalable_target(**_only(_TARGET_FIELDS[:3], target))


def restore_scaling(session: boto3.Session, scaling: Scaling) -> None:
    """Restore scaling that was removed."""
    client = session.client("application-autoscaling")
    for target in scaling.targets:
        client.register_scalable_target(**target)
    for policy in scaling.policies:
        client.put_scaling_policy(**policy)


def retain_instance_count(update: ApiCall) -> ApiCall:
    """Let an endpoint that has scaled out keep its instances; all else comes from the new version."""
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


def _resource(endpoint_name: str) -> dict[str, str]:
    """Return how Application Auto Scaling addresses the endpoint's instances."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint_name}/variant/{VARIANT}",
        "ScalableDimension": SCALABLE_DIMENSION,
    }


def _only(fields: tuple[str, ...], description: Any) -> dict[str, Any]:
    return {name: description[name] for name in fields if name in description}
