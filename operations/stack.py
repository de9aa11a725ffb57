"""A deployed stack: its outputs, clients of the services that it is made of, and the options that name it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, wraps
from typing import Any, Final, cast

import click

from commandline.aws import Session, open_session
from commandline.errors import CommandError
from commandline.options import Command

_making_clients: Final = threading.Lock()


class StackError(CommandError):
    """The stack does not exist, or is not the one that these commands work with."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack."""

    name: str
    outputs: Mapping[str, str]
    session: Session
    parameters: Mapping[str, str] = field(default_factory=dict)
    status: str = ""  # as CloudFormation has it; empty: not deployed
    clock: timedelta = timedelta()  # by how much AWS's is ahead of this machine's
    clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def described(cls, answer: Mapping[str, Any], session: Session) -> "Stack":
        """Return the stack of an answer of DescribeStacks."""
        stack, clock = answer["Stacks"][0], timedelta()
        with suppress(ValueError):  # an answer without a date
            date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
            clock = parsedate_to_datetime(date).astimezone(UTC) - datetime.now(UTC)
        return cls(
            stack["StackName"],
            {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])},
            session,
            {item["ParameterKey"]: item.get("ParameterValue", "") for item in stack.get("Parameters", [])},
            stack["StackStatus"],
            clock,
        )

    def output(self, key: str) -> str:
        """Return the value of an output; StackError if the stack has none of that name."""
        if key not in self.outputs:
            raise StackError(
                f"the stack {self.name} has no output {key}: it was deployed from another template than this "
                "version's. Deploy it again, or name another stack with --stack-name"
            )
        return self.outputs[key]

    def now(self) -> datetime:
        """Return the time by AWS's clock, which is in records and objects: this machine's may be wrong."""
        return datetime.now(UTC) + self.clock

    def refreshed(self) -> "Stack":
        """Return the stack as it is deployed now."""
        return find_stack(self.name, self.session)

    @cached_property
    def resources(self) -> dict[str, tuple[str, str]]:
        """Type and physical name (which CloudFormation may cut) of each resource by its template name."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            one["LogicalResourceId"]: (one["ResourceType"], one["PhysicalResourceId"].rpartition("|")[2])
            for page in pages.paginate(StackName=self.name)
            for one in page["StackResourceSummaries"]
        }

    def resources_of(self, kind: str) -> dict[str, str]:
        """Return the physical names of the resources of a type by their names in the template."""
        return {name: physical for name, (type_, physical) in self.resources.items() if type_ == kind}

    def endpoint(self) -> dict[str, Any]:
        """Return the endpoint as SageMaker describes it; empty if there is none."""
        client = self.client("sagemaker")
        try:
            return dict(client.describe_endpoint(EndpointName=self.output("EndpointName")))
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in {"ValidationException", "ResourceNotFound"}:
                raise
            return {}

    def stored(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield versions of photos, and delete markers, which have no `Size`, as S3 describes them."""
        pages = self.client("s3").get_paginator("list_object_versions")
        found = pages.paginate(Bucket=self.output("PhotoBucketName"), Prefix=prefix)
        yield from found.search("[Versions, DeleteMarkers][]")

    def messages(self, output: str) -> int:
        """Return how many messages a queue has, those included that somebody has received."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        request = {"QueueUrl": self.output(output), "AttributeNames": names}
        return sum(map(int, self.client("sqs").get_queue_attributes(**request)["Attributes"].values()))

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service, such as `s3`; threads may share it."""
        with _making_clients:  # which a session cannot do in several threads
            if service not in self.clients:
                self.clients[service] = self.session.client(service)  # type: ignore[call-overload]
            return self.clients[service]


def find_stack(name: str, session: Session) -> Stack:
    """Look up a deployed stack; StackError if there is none of that name in that region."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - see above

    try:
        answer = session.client("cloudformation").describe_stacks(StackName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise StackError(
            f"there is no stack {name!r} in {session.region_name}: deploy it (`sam deploy`), or name another "
            "with --stack-name or another region with --region"
        ) from error
    stack = Stack.described(answer, session)
    if not stack.outputs:
        raise StackError(f"the stack {name} is {stack.status} and has no outputs: deploy it again")
    return stack


@dataclass(frozen=True)
class StackChoice:
    """The stack that the command line names; it is looked up only when the rest was found to be in order."""

    name: str
    region: str | None
    profile: str | None

    def session(self) -> Session:
        """Return a session with the chosen region and profile."""
        return open_session(self.region, self.profile)

    def find(self) -> Stack:
        """Look the stack up; StackError if there is none."""
        return find_stack(self.name, self.session())


def stack_options(command: Command) -> Command:
    """Add --stack-name, --region and --profile; the command is called with `choice`, a StackChoice."""

    @click.option("--stack-name", default="scones", metavar="NAME", help="Name of the deployed stack.")
    @click.option(
        "--region", metavar="NAME", help="Region of the stack.  [default: AWS_REGION, or the profile's]"
    )
    @click.option("--profile", metavar="NAME", help="Profile of ~/.aws/config.  [default: AWS_PROFILE]")
    @wraps(command)
    def with_choice(stack_name: str, region: str | None, profile: str | None, **options: Any) -> Any:
        if not stack_name.strip():  # CloudFormation takes it for every stack
            raise click.UsageError("--stack-name: an empty name")
        return command(choice=StackChoice(stack_name, region, profile), **options)

    return cast("Command", with_choice)
