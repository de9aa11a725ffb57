"""Files that lie here or in S3, and S3's refusals with the name of what was asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError, ParamValidationError

from commandline.errors import CommandError, UsageError

SCHEME: Final = "s3://"
_ABSENT: Final = {
    "NoSuchBucket": "there is no such bucket: check its name",
    "NoSuchKey": "there is no such object: check its key, `aws s3 ls` lists what a bucket has",
    "404": "there is no such bucket or object: check the name",
}


@contextmanager
def named(uri: str) -> Iterator[None]:
    """Name what is asked for if S3 does not have it (UsageError) or refuses it (CommandError)."""
    try:
        yield
    except ParamValidationError as error:
        raise UsageError(f"{uri}: no bucket can have such a name, or no object such a key") from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if why := _ABSENT.get(code):
            raise UsageError(f"{uri}: {why}") from error
        if code in {"AccessDenied", "403"}:
            raise CommandError(
                f"{uri}: access denied: the credentials may lack s3:GetObject, PutObject or ListBucket"
            ) from error
        raise


def is_s3(location: str) -> bool:
    """Return whether a location is an S3 URI."""
    return location.startswith(SCHEME)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key (or prefix) of an S3 URI; UsageError if it names no bucket."""
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise UsageError(f"{uri}: give s3://BUCKET/KEY")
    return bucket, key


def check_target(location: str) -> None:
    """Refuse what cannot be written to, before any work: UsageError."""
    if is_s3(location):
        split_uri(location)
    elif not location.strip() or Path(location).expanduser().is_dir():
        raise UsageError(f"{location!r} is no file: name a file, or s3://BUCKET/KEY")


def read(location: str, session: Any) -> bytes:
    """Read a file, here or `s3://BUCKET/KEY`."""
    if not is_s3(location):
        return Path(location).expanduser().read_bytes()
    bucket, key = split_uri(location)
    with named(location):
        body: bytes = session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def write(location: str, text: str, content_type: str, session: Any) -> None:
    """Write a UTF-8 file, here (folders on the way are made) or `s3://BUCKET/KEY`."""
    if is_s3(location):
        bucket, key = split_uri(location)
        with named(location):
            body = text.encode()
            session.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
    else:
        path = Path(location).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
