"""How a stack stands, by what AWS has of it."""

import json

import boto3
import pytest

from operations.checks import Status
from operations.stack import Stack
from operations.status import Situation

NAME = "scones-for-all-vehicles-of-the-eastern-district"
RULE = f"{NAME[:24]}-OutcomeRule-1A2B3C"  # CloudFormation cuts the stack's part
PATTERN = {"source": ["scones.vehicle-classification"]}


@pytest.mark.usefixtures("aws")
def test_rules_are_found_under_a_stack_name_that_is_cut_in_theirs() -> None:
    session = boto3.Session()
    rule = {"Type": "AWS::Events::Rule", "Properties": {"Name": RULE, "EventPattern": PATTERN}}
    template = json.dumps({"Resources": {"OutcomeRule": rule}})
    session.client("cloudformation").create_stack(StackName=NAME, TemplateBody=template)
    situation = Situation(Stack(NAME, {"ResultsTableName": "results"}, session))
    (check,) = situation.rules()
    assert (check.status, check.detail) == (Status.OK, "1 enabled")
    session.client("events").disable_rule(Name=RULE)
    (check,) = situation.rules()
    assert check.advice == f"aws events enable-rule --name {RULE}"
    session.client("events").delete_rule(Name=RULE)
    (check,) = situation.rules()
    assert check.detail.startswith("is missing: ")
