"""Application Auto Scaling, as far as an endpoint's variant needs it: targets and policies are stored.

Nothing is scaled: one process serves, whatever the capacities are.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any

from localcloud.sagemaker.resources import ACCOUNT, REGION, ApiError, invalid

Json = dict[str, Any]
_Key = tuple[str, str, str]


def _key(params: Json) -> _Key:
    return params["ServiceNamespace"], params["ResourceId"], params["ScalableDimension"]


def _missing(what: str, key: _Key) -> ApiError:
    namespace, resource, dimension = key
    return ApiError(
        "ObjectNotFoundException",
        f"No {what} found for service namespace: {namespace}, resource ID: {resource}, scalable dimension: "
        f"{dimension}",
    )


class AutoScaling:
    """The service's operations on `sagemaker` variants."""

    def __init__(self, endpoint_exists: Callable[[str], bool]) -> None:
        self._endpoint_exists = endpoint_exists
        self._targets: dict[_Key, Json] = {}
        self._policies: dict[tuple[_Key, str], Json] = {}
        self.operations: dict[str, Callable[[Json], Json]] = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": self._describe_targets,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "DeleteScalingPolicy": self._delete_policy,
        }

    def _register(self, params: Json) -> Json:
        if params["ServiceNamespace"] != "sagemaker":
            raise invalid("This emulator supports the sagemaker namespace only.")
        kind, _, rest = params["ResourceId"].partition("/")
        if kind != "endpoint" or not self._endpoint_exists(rest.split("/")[0]):
            raise invalid(f"Endpoint or variant not found: {params['ResourceId']}")
        key = _key(params)
        known = self._targets.get(key, {})
        if not known and ("MinCapacity" not in params or "MaxCapacity" not in params):
            raise invalid("MinCapacity and MaxCapacity are required to register a new scalable target.")
        target = {
            "ScalableTargetARN": f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/"
            + uuid.uuid4().hex[:16],
            "CreationTime": time.time(),
            "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling."
            "amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
        }
        merged: Json = target | known | {name: value for name, value in params.items() if name != "Tags"}
        if merged["MinCapacity"] > merged["MaxCapacity"]:
            raise invalid("Maximum capacity cannot be less than minimum capacity")
        self._targets[key] = merged
        return {"ScalableTargetARN": merged["ScalableTargetARN"]}

    def _describe_targets(self, params: Json) -> Json:
        wanted = params.get("ResourceIds")
        found = [t for t in self._targets.values() if not wanted or t["ResourceId"] in wanted]
        return {"ScalableTargets": found}

    def _deregister(self, params: Json) -> Json:
        key = _key(params)
        if self._targets.pop(key, None) is None:
            raise _missing("scalable target", key)
        self._policies = {at: policy for at, policy in self._policies.items() if at[0] != key}
        return {}

    def _put_policy(self, params: Json) -> Json:
        key = _key(params)
        if key not in self._targets:
            raise _missing("scalable target", key)
        at = (key, params["PolicyName"])
        arn = (
            f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:{uuid.uuid4()}:resource/sagemaker/"
            f"{params['ResourceId']}:policyName/{params['PolicyName']}"
        )
        known = {"PolicyARN": arn, "CreationTime": time.time(), "Alarms": []} | self._policies.get(at, {})
        self._policies[at] = known | params
        return {"PolicyARN": self._policies[at]["PolicyARN"], "Alarms": []}

    def _describe_policies(self, params: Json) -> Json:
        names, resource = params.get("PolicyNames"), params.get("ResourceId")
        found = [
            policy
            for policy in self._policies.values()
            if (not names or policy["PolicyName"] in names) and resource in {None, policy["ResourceId"]}
        ]
        return {"ScalingPolicies": found}

    def _delete_policy(self, params: Json) -> Json:
        at = (_key(params), params["PolicyName"])
        if self._policies.pop(at, None) is None:
            raise _missing("scaling policy", at[0])
        return {}
