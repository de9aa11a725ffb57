"""S3's refusals, with the name of what was asked for and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import ClientError, ParamValidationError

from commandline.errors import CommandError, UsageError

_ABSENT: Final = {
    "NoSuchBucket": "there is no such bucket: check its name",
    "NoSuchKey": "there is no such object: check its key, `aws s3 ls` lists what a bucket has",
    "404": "there is no such bucket or object: check the name",
}
_REFUSED: Final = ("AccessDenied", "403")


@contextmanager
def named(uri: str) -> Iterator[None]:
    """Name what is asked for if S3 does not have it, or refuses it.

    Raises:
        UsageError: there is no such bucket or object.
        CommandError: S3 refuses it.
    """
    try:
        yield
    except ParamValidationError as error:
        raise UsageError(f"{uri}: no bucket can have such a name, or no object such a key") from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if why := _ABSENT.get(code):
            raise UsageError(f"{uri}: {why}") from error
        if code in _REFUSED:
            raise CommandError(
                f"{uri}: access denied: the credentials may lack s3:GetObject, PutObject or ListBucket"
            ) from error
        raise
