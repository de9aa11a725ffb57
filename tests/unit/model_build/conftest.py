"""A model and an AWS account, both of them empty of anything that a test does not put there."""

import io
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from tests.support.tiny_model import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a model of red and blue, which knows green as a class of negatives."""
    return write_model(tmp_path / "model", ["red", "blue"], ["green"])


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """Simulate AWS, and a script: standard input is no terminal."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with mock_aws():
        yield boto3.Session(region_name="eu-west-1")
