"""Finding a deployed stack, and what is said if that is not possible."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import boto3
import pytest

from commandline.aws import open_session
from operations.stack import Stack, StackError, find_stack
from tests.support.aws_stack import STACK_NAME, create_in_cloudformation, deployed_stack

pytestmark = pytest.mark.usefixtures("aws")


def test_a_stack_of_another_template_is_told_by_its_outputs() -> None:
    with pytest.raises(StackError, match=r"scones has no output ReviewQueueUrl"):
        deployed_stack().output("ReviewQueueUrl")


def test_a_stack_without_outputs_is_told_with_its_status() -> None:
    create_in_cloudformation({})
    with pytest.raises(StackError, match=r"scones is CREATE_COMPLETE and has no outputs"):
        find_stack(STACK_NAME, boto3.Session())


def test_the_region_comes_from_the_option_then_from_either_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_session().region_name == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert open_session().region_name == "eu-north-1"
    assert open_session("us-west-2").region_name == "us-west-2"


@pytest.mark.parametrize("hours", [50, -50])
def test_parameters_outputs_and_awss_clock_are_those_of_its_answers(hours: int) -> None:
    ahead = timedelta(hours=hours)
    found = {"StackName": STACK_NAME, "StackStatus": "CREATE_COMPLETE", "CreationTime": datetime.now(UTC)}
    found |= {"Parameters": [{"ParameterKey": "ResultRetentionDays", "ParameterValue": "30"}]}
    found |= {"Outputs": [{"OutputKey": "Bucket", "OutputValue": "photos"}]}

    def clock(date: str) -> timedelta:
        answer = {"Stacks": [found], "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
        stack = Stack.described(answer, boto3.Session())
        assert (stack.parameters, stack.outputs) == ({"ResultRetentionDays": "30"}, {"Bucket": "photos"})
        return stack.clock

    assert abs(clock(format_datetime(datetime.now(UTC) + ahead, usegmt=True)) - ahead) < timedelta(seconds=5)
    assert clock("soon") == timedelta()
