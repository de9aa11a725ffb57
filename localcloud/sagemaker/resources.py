"""What all of the emulator uses: AWS's errors, clients of the local cloud, and records with name and ARN."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Final, NoReturn, TypeVar

import boto3
from botocore.config import Config as ClientConfig

Json = dict[str, Any]
Operation = Callable[[Json], Json]

ACCOUNT: Final = "000000000000"  # ministack's
REGION: Final = "us-east-1"
_DEFAULT_PAGE: Final = 10
_ONE_RETRY: Final = ClientConfig(retries={"mode": "standard", "total_max_attempts": 2})
"""ministack answers at once, or has ended: this server then has no time for more."""


@dataclass
class ApiError(Exception):
    """An error that is the answer to a request: `code` is what boto3 shows in brackets, empty for none.

    `message` is in AWS's own words where they are known; `extra` has further members of the error's shape.
    """

    code: str
    message: str
    status: int = 400
    extra: Json = field(default_factory=dict)


def invalid(message: str) -> ApiError:
    """Return the error with which SageMaker's control plane answers nearly every invalid request."""
    return ApiError("ValidationException", message)


@cache
def client(service: str) -> Any:
    """Return the client of a service, at the address that the AWS_ENDPOINT_URL* variables name.

    Threads may share a client, but not a session.
    """
    return boto3.session.Session().client(service, config=_ONE_RETRY)  # type: ignore[call-overload]  # the name is no literal


@dataclass
class Resource:
    """A record: its name as the request spelled it, its ARN, the request, and when that was made.

    Endpoints and training jobs also have a status, and when that changed last.
    """

    name: str
    arn: str
    request: Json
    created: float = field(default_factory=time.time)
    status: str = ""
    modified: float = 0.0
    prefix: ClassVar[str]
    """Begins the names of members of answers, such as `EndpointName`."""
    kind: ClassVar[str]
    """As ARNs name it."""

    def describe(self) -> Json:
        """Return the answer of its Describe operation."""
        shown = {key: value for key, value in self.request.items() if key != "Tags"}
        return shown | {f"{self.prefix}Arn": self.arn, "CreationTime": self.created}

    def summary(self) -> Json:
        """Return its line in a list."""
        names = {f"{self.prefix}Name": self.name, f"{self.prefix}Arn": self.arn}
        changed = {f"{self.prefix}Status": self.status, "LastModifiedTime": self.modified}
        return names | {"CreationTime": self.created} | (changed if self.status else {})


class Model(Resource):
    """A model."""

    prefix = "Model"
    kind = "model"


@dataclass
class Config(Resource):
    """An endpoint configuration, with the model that it names as it was when the configuration was made."""

    model: Json = field(default_factory=dict)
    prefix = "EndpointConfig"
    kind = "endpoint-config"

    @property
    def variant(self) -> Json:
        """Its one production variant."""
        variant: Json = self.request["ProductionVariants"][0]
        return variant

    @property
    def serverless(self) -> bool:
        """Whether the variant runs on demand instead of on an instance."""
        return "ServerlessConfig" in self.variant

    @property
    def capture(self) -> Json | None:
        """The data capture settings, if it captures."""
        settings: Json | None = self.request.get("DataCaptureConfig")
        return settings if settings and settings.get("EnableCapture", True) else None

    def shown(self) -> Json:
        """Return what DescribeEndpoint shows of it where it serves."""
        weight = self.variant.get("InitialVariantWeight", 1.0)
        image = self.model["Image"]
        variant: Json = {
            "VariantName": self.variant["VariantName"],
            "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image}],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
        }
        if self.serverless:
            variant["CurrentServerlessConfig"] = self.variant["ServerlessConfig"]
        else:
            count = self.variant["InitialInstanceCount"]
            variant |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
        shown: Json = {"ProductionVariants": [variant]}
        if settings := self.request.get("DataCaptureConfig"):
            shown["DataCaptureConfig"] = {
                "EnableCapture": self.capture is not None,
                "CaptureStatus": "Started" if self.capture else "Stopped",
                "CurrentSamplingPercentage": settings["InitialSamplingPercentage"],
                "DestinationS3Uri": settings["DestinationS3Uri"],
                "KmsKeyId": settings.get("KmsKeyId", ""),
            }
        return shown


R = TypeVar("R", bound=Resource)


class Collection(dict[str, R]):
    """All resources of one class, by name, oldest first; refuses names with SageMaker's error messages."""

    def __init__(self, of: type[R]) -> None:
        super().__init__()
        self._kind, self._prefix = of.kind, of.prefix
        self._title = of.kind.replace("-", " ").replace("config", "configuration")

    def __missing__(self, name: str) -> NoReturn:
        """Refuse a name that nothing has."""
        raise invalid(f'Could not find {self._title} "{self._arn(name)}".')

    def new_arn(self, name: str) -> str:
        """Return the ARN for a new resource; ApiError if the name is taken."""
        if name in self:
            raise invalid(f'Cannot create already existing {self._title} "{self._arn(name)}".')
        return self._arn(name)

    def add(self, resource: R) -> Json:
        """Add a new resource; return the answer of its Create operation."""
        self[resource.name] = resource
        return {f"{self._prefix}Arn": resource.arn}

    def operations(self, listed: str) -> dict[str, Operation]:
        """Return Describe and List, whose summaries are in the member `listed`."""

        def page(params: Json) -> Json:
            wanted, status = params.get("NameContains", "").lower(), params.get("StatusEquals")
            found = [one for one in self.values() if wanted in one.name.lower()]
            found = [one for one in found if status in {None, one.status}]
            by_name = params.get("SortBy") == "Name"
            newest_first = params.get("SortOrder", "Descending") == "Descending"
            found.sort(key=lambda one: one.name if by_name else one.created, reverse=newest_first)
            start = int(params.get("NextToken", "0"))
            end = start + params.get("MaxResults", _DEFAULT_PAGE)
            more = {"NextToken": str(end)} if end < len(found) else {}
            return {listed: [one.summary() for one in found[start:end]], **more}

        name = f"{self._prefix}Name"
        return {
            f"Describe{self._prefix}": lambda params: self[params[name]].describe(),
            f"List{self._prefix}s": page,
        }

    def _arn(self, name: str) -> str:
        """Return the ARN of a resource; names are in lower case there."""
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{self._kind}/{name.lower()}"
