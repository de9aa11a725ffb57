"""Sessions of AWS's SDK, and what it raises in everyday use, in one line with what to do."""

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import boto3

    Session = boto3.Session
else:
    Session = object  # for annotations: boto3 takes longer to import than all else

# By name, so that commands which never call AWS need not import its SDK.
_HINTS: Final = {
    "NoRegionError": "no AWS region is set: set AWS_DEFAULT_REGION, or a profile with a region",
    "NoCredentialsError": "no AWS credentials were found: set AWS_PROFILE, or run `aws configure`",
    "PartialCredentialsError": "the AWS credentials are incomplete: set both AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or neither",
    "TokenRetrievalError": "the AWS session has expired: run `aws sso login`",
    "UnauthorizedSSOTokenError": "the AWS session has expired: run `aws sso login`",
    "SSOTokenLoadError": "there is no AWS session: run `aws sso login`",
}
_HTML: Final = re.compile(r"<(!doctype|html)\b.*", re.IGNORECASE)
"""The answer of a proxy, or of a server that is not AWS's."""
_UNREACHED: Final = "check the network; if AWS_ENDPOINT_URL is set, does what it names still run?"
_UNKNOWN: Final = "AWS does not know these credentials: check AWS_PROFILE or AWS_ACCESS_KEY_ID"
_SEE_CODE: Final = {
    "ExpiredToken": "the credentials have expired: get new ones",
    "ExpiredTokenException": "the credentials have expired: get new ones",
    "InvalidClientTokenId": _UNKNOWN,
    "UnrecognizedClientException": _UNKNOWN,
    "InvalidAccessKeyId": _UNKNOWN,
    "SignatureDoesNotMatch": "the secret access key does not belong to the access key: check both",
}


def open_session(region: str | None = None, profile: str | None = None) -> Session:
    """Return a session with the region and credentials that every AWS tool would take."""
    import boto3  # noqa: PLC0415 - see `Session`

    # The AWS CLI and all other SDKs read AWS_REGION, boto3 does not.
    return boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None, profile_name=profile)


def aws_reason(error: Exception) -> str:
    """Return one line for an error of AWS's SDK, with what to do; for the end of another message."""
    return explain_aws(error) or str(error)


def explain_aws(error: Exception) -> str | None:
    """Return one line for an error of boto3 or botocore; None if the error is not one of theirs."""
    if not type(error).__module__.startswith(("botocore", "boto3", "s3transfer")):
        return None
    for kind in type(error).__mro__:
        if kind.__name__ in _HINTS:
            return _HINTS[kind.__name__]
    text = one_line(str(error)) or type(error).__name__
    if type(error).__name__ == "EndpointConnectionError":
        return f"{text}: {_UNREACHED}"
    response = getattr(error, "response", None)
    details = response.get("Error", {}) if isinstance(response, dict) else {}
    bucket = details.get("BucketName")  # which the text may not name
    text += f" ({bucket})" if bucket and bucket not in text else ""
    hint = _SEE_CODE.get(details.get("Code", ""))
    return f"{text}: {hint}" if hint else text


def one_line(text: str) -> str:
    """Return a service's message in one line, without the HTML page that a proxy answered with."""
    return _HTML.sub("an HTML page", " ".join(text.split()))
