"""Application Auto Scaling, as far as an endpoint's variant needs it: targets and policies are stored.

Nothing is scaled: one process serves, whatever the capacities are.
"""

import time
import uuid
from collections.abc import Container

from localcloud.sagemaker.resources import ACCOUNT, REGION, ApiError, Json, Operation, invalid

_Key = tuple[str, ...]


class AutoScaling:
    """The service's operations on the variants of endpoints; `endpoints` has the names of those there are."""

    def __init__(self, endpoints: Container[str]) -> None:
        self._endpoints = endpoints
        self._targets: dict[_Key, Json] = {}
        self._policies: dict[_Key, Json] = {}  # whose keys begin with those of their targets
        self.operations: dict[str, Operation] = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": self._describe_targets,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "DeleteScalingPolicy": self._delete_policy,
        }

    def _register(self, params: Json) -> Json:
        kind, _, variant = params["ResourceId"].partition("/")
        if kind != "endpoint" or variant.split("/")[0] not in self._endpoints:
            raise invalid(f"Endpoint or variant not found: {params['ResourceId']}")
        arn = f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/{uuid.uuid4().hex[:16]}"
        new = {"ScalableTargetARN": arn, "CreationTime": time.time()}
        target: Json = self._targets.get(_key(params), new) | params
        target.pop("Tags", None)
        if not {"MinCapacity", "MaxCapacity"} <= target.keys():
            raise invalid("MinCapacity and MaxCapacity are required to register a new scalable target.")
        if target["MinCapacity"] > target["MaxCapacity"]:
            raise invalid("Maximum capacity cannot be less than minimum capacity")
        self._targets[_key(params)] = target
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _describe_targets(self, params: Json) -> Json:
        wanted = params.get("ResourceIds")
        found = [one for one in self._targets.values() if not wanted or one["ResourceId"] in wanted]
        return {"ScalableTargets": found}

    def _deregister(self, params: Json) -> Json:
        key = self._require_target(params)
        del self._targets[key]
        self._policies = {at: policy for at, policy in self._policies.items() if at[:-1] != key}
        return {}

    def _put_policy(self, params: Json) -> Json:
        at = (*self._require_target(params), params["PolicyName"])
        arn = (
            f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:{uuid.uuid4()}:resource/sagemaker/"
            f"{params['ResourceId']}:policyName/{params['PolicyName']}"
        )
        new = {"PolicyARN": arn, "CreationTime": time.time(), "Alarms": []}
        self._policies[at] = self._policies.get(at, new) | params
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
        if self._policies.pop((*_key(params), params["PolicyName"]), None) is None:
            raise _missing("scaling policy", params)
        return {}

    def _require_target(self, params: Json) -> _Key:
        if _key(params) not in self._targets:
            raise _missing("scalable target", params)
        return _key(params)


def _key(params: Json) -> _Key:
    return params["ServiceNamespace"], params["ResourceId"], params["ScalableDimension"]


def _missing(what: str, params: Json) -> ApiError:
    namespace, resource, dimension = _key(params)
    return ApiError(
        "ObjectNotFoundException",
        f"No {what} found for service namespace: {namespace}, resource ID: {resource}, scalable dimension: "
        f"{dimension}",
    )
