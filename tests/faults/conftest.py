"""A local cloud whose workflows lose patience within seconds, and the table of what was seen."""

import re
from collections.abc import Iterator

import pytest

from localcloud.environment import ROOT
from tests.e2e.conftest import cloud, model, state
from tests.faults.balance import Observer
from tests.support.local_cloud import LocalCloud

__all__ = ["cloud", "model", "state"]

PATIENCE_S = 8
"""The template's minimum is 30; what is tested is what comes after it."""


def set_patience(observer: Observer, seconds: int) -> None:
    """Let the workflows try for so long to classify a photo, and as long to deliver its outcome."""
    workflow = observer.cloud.client("stepfunctions")
    for arn in observer.machines.values():
        definition = workflow.describe_state_machine(stateMachineArn=arn)["definition"]
        definition, classify = re.subn(r"\+ 1000 \* \d+ %", f"+ 1000 * {seconds} %", definition)
        definition, deliver = re.subn(r"\(\d+ \+ \d+\) %", f"({seconds} + {seconds}) %", definition)
        assert (classify, deliver) == (1, 1), "the workflow has its deadlines in another form"
        workflow.update_state_machine(stateMachineArn=arn, definition=definition)


@pytest.fixture(scope="session")
def observer(cloud: LocalCloud) -> Iterator[Observer]:
    """Sees all events, review messages and dead letters; writes the table at the end."""
    observer = Observer(cloud)
    workflow, express = cloud.client("stepfunctions"), observer.machines["EXPRESS"]
    settings = workflow.describe_state_machine(stateMachineArn=express)["loggingConfiguration"]
    settings |= {"level": "ALL", "includeExecutionData": True}  # or nobody knows which photo an execution has
    workflow.update_state_machine(stateMachineArn=express, loggingConfiguration=settings)
    set_patience(observer, PATIENCE_S)
    yield observer
    observer.write(ROOT / "build" / "faults.md")
