"""Reading and writing one file that lies here or in S3."""

from pathlib import Path
from typing import Any

from commandline.errors import UsageError
from operations.s3_errors import named

_S3 = "s3://"


def is_s3(location: str) -> bool:
    """Return whether a location is an S3 URI."""
    return location.startswith(_S3)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key (or prefix) of an S3 URI.

    Raises:
        UsageError: it names no bucket.
    """
    bucket, _, key = uri.removeprefix(_S3).partition("/")
    if not bucket:
        raise UsageError(f"{uri}: give s3://BUCKET/KEY")
    return bucket, key


def check_target(location: str) -> None:
    """Refuse what cannot be written to, before any work: UsageError."""
    if is_s3(location):
        split_uri(location)
    elif not location.strip() or Path(location).expanduser().is_dir():
        raise UsageError(f"{location!r} is no file: name a file, or s3://BUCKET/KEY")


def read_text(location: str, session: Any) -> str:
    """Read a UTF-8 file, here or `s3://BUCKET/KEY`.

    Raises:
        UsageError: there is no such object.
        UnicodeDecodeError: it is not UTF-8.
    """
    if not is_s3(location):
        return Path(location).expanduser().read_text(encoding="utf-8")
    bucket, key = split_uri(location)
    with named(location):
        body: bytes = session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body.decode()


def write_text(location: str, text: str, content_type: str, session: Any) -> None:
    """Write a UTF-8 file, here (folders on the way are made) or `s3://BUCKET/KEY`."""
    if is_s3(location):
        bucket, key = split_uri(location)
        with named(location):
            session.client("s3").put_object(
                Bucket=bucket, Key=key, Body=text.encode(), ContentType=content_type
            )
        return
    path = Path(location).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
