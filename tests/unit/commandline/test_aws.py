"""What AWS's SDK raises, in a line."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from commandline.aws import explain_aws


def refused(code: str, message: str, operation: str = "PutObject", **details: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message, **details}}, operation)  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (NoRegionError(), "no AWS region is set: set AWS_DEFAULT_REGION"),
        (NoCredentialsError(), "no AWS credentials were found: set AWS_PROFILE"),
        (ProfileNotFound(profile="nobody"), "The config profile (nobody) could not be found"),
        (
            EndpointConnectionError(endpoint_url="http://x:1"),
            (
                'Could not connect to the endpoint URL: "http://x:1": check the network; if AWS_ENDPOINT_URL '
                "is set, does what it names still run?"
            ),
        ),
        (
            refused("500", "<!doctype html>\n<html><body>Internal Server Error</body></html>"),
            "An error occurred (500) when calling the PutObject operation: an HTML page",
        ),
        (refused("NoSuchBucket", "The specified bucket does not exist", BucketName="photos"), "(photos)"),
        (refused("ExpiredToken", "The token has expired"), "get new ones"),
        (refused("InvalidClientTokenId", "The token is invalid"), "check AWS_PROFILE"),
        (
            refused("AccessDenied", "not authorized\nto perform: s3:PutObject"),
            "not authorized to perform",
        ),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(error: Exception, reported: str) -> None:
    text = explain_aws(error)
    assert text is not None
    assert reported in text
    assert "\n" not in text


def test_other_errors_are_not_awss() -> None:
    assert explain_aws(ValueError("x")) is None
