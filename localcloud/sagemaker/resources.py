"""What all of the emulator uses: AWS's errors, clients of the local cloud, and records with name and ARN."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar

import boto3
from botocore.config import Config

ACCOUNT = "000000000000"
"""The account id that ministack uses."""
REGION = "us-east-1"
_DEFAULT_PAGE = 10
_ONE_RETRY = Config(retries={"mode": "standard", "total_max_attempts": 2})
"""ministack answers at once, or has ended: this server then has no time for more."""
_lock = threading.Lock()


@dataclass
class ApiError(Exception):
    """An error that is the answer to a request: `code` is what boto3 shows in brackets, empty for none.

    `message` is in AWS's own words where they are known; `extra` has further members of the error's shape.
    """

    code: str
    message: str
    status: int = 400
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return code and message, as boto3 would print them."""
        return f"{self.code}: {self.message}"

    def body(self) -> dict[str, Any]:
        """Return the JSON body, with the message under both spellings that AWS's protocols use."""
        body: dict[str, Any] = {"message": self.message, "Message": self.message, **self.extra}
        return body | ({"__type": self.code} if self.code else {})


def invalid(message: str) -> ApiError:
    """Return the error with which SageMaker's control plane answers nearly every invalid request."""
    return ApiError("ValidationException", message)


def client(service: str) -> Any:
    """Return the shared client of a service, at the address that the AWS_ENDPOINT_URL* variables name.

    Threads may share a client, but not a session.
    """
    with _lock:
        return _make(service)


@cache
def _make(service: str) -> Any:
    return boto3.session.Session().client(service, config=_ONE_RETRY)  # type: ignore[call-overload]  # the name is no literal


def bucket_and_key(url: str) -> tuple[str, str]:
    """Return the parts of an `s3://` URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass
class Resource:
    """A record: its name as the request spelled it, its ARN, the request, and when that was made.

    Endpoints and training jobs also have a status, and when that changed last.
    """

    name: str
    arn: str
    request: dict[str, Any]
    created: float = field(default_factory=time.time)
    status: str = ""
    modified: float = 0.0

    def summary(self, prefix: str) -> dict[str, Any]:
        """Return its line in a list; `prefix` begins the members' names, such as `EndpointName`."""
        shown = {f"{prefix}Name": self.name, f"{prefix}Arn": self.arn, "CreationTime": self.created}
        changed = {f"{prefix}Status": self.status, "LastModifiedTime": self.modified} if self.status else {}
        return shown | changed


R = TypeVar("R", bound=Resource)


class Collection(Generic[R]):
    """All resources of one `kind`, as ARNs name it, with SageMaker's error messages.

    `prefix` begins the names of members of answers, such as `EndpointName`.
    """

    def __init__(self, kind: str, prefix: str) -> None:
        self.prefix = prefix
        self._kind = kind
        self._items: dict[str, R] = {}

    def arn(self, name: str) -> str:
        """Return the ARN of a resource; names are in lower case there."""
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{self._kind}/{name.lower()}"

    def refuse_existing(self, name: str) -> str:
        """Return the ARN for a new resource; ApiError if the name is taken."""
        if name in self._items:
            raise invalid(f'Cannot create already existing {self._title} "{self.arn(name)}".')
        return self.arn(name)

    def add(self, resource: R) -> None:
        """Add a new resource."""
        self._items[resource.name] = resource

    def find(self, name: str) -> R:
        """Return the resource of that name; ApiError if there is none."""
        if name not in self._items:
            raise invalid(f'Could not find {self._title} "{self.arn(name)}".')
        return self._items[name]

    def discard(self, name: str) -> None:
        """Remove a resource, if it is there."""
        self._items.pop(name, None)

    def __iter__(self) -> Iterator[R]:
        """Iterate over all of them, oldest first."""
        return iter(list(self._items.values()))

    def page(self, params: dict[str, Any], member: str) -> dict[str, Any]:
        """Return the answer of a List operation, whose summaries are in `member`."""
        wanted, status = params.get("NameContains", "").lower(), params.get("StatusEquals")
        found = [item for item in self if wanted in item.name.lower() and status in {None, item.status}]
        by_name = params.get("SortBy") == "Name"
        newest_first = params.get("SortOrder", "Descending") == "Descending"
        found.sort(key=lambda item: item.name if by_name else item.created, reverse=newest_first)
        start = int(params.get("NextToken", "0"))
        end = start + params.get("MaxResults", _DEFAULT_PAGE)
        more = {"NextToken": str(end)} if end < len(found) else {}
        return {member: [item.summary(self.prefix) for item in found[start:end]], **more}

    @property
    def _title(self) -> str:
        return {"endpoint-config": "endpoint configuration"}.get(self._kind, self._kind.replace("-", " "))
