"""AWS in this process, and nothing of the user's own account."""

import copy
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from moto import mock_aws

from operations.stack import Stack
from tests.support.aws_stack import deployed_stack
from tests.support.commands import Scones


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace AWS by moto, and the environment's AWS variables by those of a test account.

    Empty queues are not waited for, a stack is found without CloudFormation, which is slow in moto, and a
    bucket's versions are listed without copies of their contents.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr("operations.review.queue.WAIT_S", 0)
    monkeypatch.setattr("operations.redrive._WAIT_S", 0)
    monkeypatch.setattr("operations.stack.Stack.refreshed", lambda self: self)
    shallow = SimpleNamespace(copy=copy.copy, deepcopy=list)
    monkeypatch.setattr("moto.s3.models.copy", shallow)
    with mock_aws():
        yield


@pytest.fixture
def scones(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Scones:
    """Return what calls command lines; the test's `stack`, if it has one, is the one that they find."""
    if "stack" in request.fixturenames:
        stack = request.getfixturevalue("stack")
        monkeypatch.setattr("operations.stack.find_stack", lambda *_: stack)
    return Scones(capsys)


@pytest.fixture
def stack(aws: None) -> Stack:
    """Deploy a small stack."""
    del aws
    return deployed_stack()
