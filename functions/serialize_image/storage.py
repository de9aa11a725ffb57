"""Read one object from S3, completely, and only the version that was requested."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from errors import ObjectNotFound, ObjectNotReadable, ObjectTooLarge, StorageUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# GetObject's permanent error codes: the object does not exist. For a missing key S3 returns NoSuchKey to a
# caller who may list the bucket, and AccessDenied to any other.
_WHY_NOT_FOUND = {
    "NoSuchKey": "it does not exist",
    "NoSuchBucket": "its bucket does not exist",
    "NoSuchVersion": "this version of it does not exist",
    "MethodNotAllowed": "this version of it is a delete marker",
    "InvalidArgument": "its version id is invalid",
    "InvalidBucketName": "its bucket name is invalid",
    "KeyTooLongError": "its key is too long",
    "PreconditionFailed": "it was changed since the event (its etag differs)",
}
# The object exists, and an operator must act: permissions, encryption with the uploader's own key, archives.
# Errors of KMS keys (disabled, deleted, not found) begin with `KMS.`.
_DENIED = {"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "InvalidRequest", "PermanentRedirect"}


class ObjectReference(NamedTuple):
    """An object and, where they are known, its version and etag."""

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> ObjectReference:
        """Read the workflow's input; ObjectNotFound if bucket or key is missing, or not a string."""
        for name in ("s3_bucket", "s3_key", "version_id", "etag"):
            if not event.get(name) and name.startswith("s3_"):
                raise ObjectNotFound(f"the input has no {name}: give the object's s3_bucket and s3_key")
            if not isinstance(event.get(name) or "", str):
                raise ObjectNotFound(f"the input's {name} is not a string: {event[name]!r:.80}")
        optional = (event.get(name) or None for name in ("version_id", "etag"))
        return cls(event["s3_bucket"], event["s3_key"], *optional)

    def as_dict(self) -> dict[str, str | None]:
        """Return it under the names of the workflow's input."""
        return dict(zip(("s3_bucket", "s3_key", "version_id", "etag"), self, strict=True))

    def __str__(self) -> str:
        """Return the object's URI, with its version if known."""
        version = f" (version {self.version_id})" if self.version_id else ""
        return f"s3://{self.bucket}/{self.key}{version}"


def read_object(
    client: S3Client, reference: ObjectReference, max_bytes: int
) -> tuple[ObjectReference, bytes]:
    """Return which version of an object was read, and its body, which is not read beyond `max_bytes`."""
    request: dict[str, Any] = {"Bucket": reference.bucket, "Key": reference.key}
    if reference.version_id:
        request["VersionId"] = reference.version_id
    if reference.etag:
        # EventBridge sends the etag without quotes, GetObject returns and expects it in quotes.
        request["IfMatch"] = '"' + reference.etag.strip('"') + '"'
    try:
        response = client.get_object(**request)
        with closing(response["Body"]) as body:
            if (size := response["ContentLength"]) > max_bytes:
                raise ObjectTooLarge(f"{reference} has {size:,} bytes, more than the limit of {max_bytes:,}")
            content = body.read()
    except ParamValidationError as exc:
        raise ObjectNotFound(f"{reference}: invalid name of an object: {exc}") from exc
    except ClientError as exc:
        raise _error_of(reference, exc) from exc
    except (BotoCoreError, HTTPClientError, OSError) as exc:
        raise StorageUnavailable(
            f"{reference}: S3 cannot be reached, or closed the connection early: {exc}"
        ) from exc
    etag = response.get("ETag", "").strip('"') or reference.etag
    version_id = response.get("VersionId") or reference.version_id
    return reference._replace(version_id=version_id, etag=etag), content


def _error_of(reference: ObjectReference, error: ClientError) -> Exception:
    details = error.response.get("Error", {})
    code, message = details.get("Code", ""), details.get("Message", "")
    if why := _WHY_NOT_FOUND.get(code):
        return ObjectNotFound(f"{reference} cannot be read: {why}")
    if code in _DENIED or code.startswith("KMS."):
        return ObjectNotReadable(f"{reference} may not be read: S3 returned {code}: {message[:500]}")
    return StorageUnavailable(f"{reference}: S3 returned {code}: {error}")
