"""Remove what a deployment has created, if it fails."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from model_build.endpoint.aws import ApiCall, send
from model_build.errors import CloudError, DeploymentError, StillSettlingError

# What takes a call back: the operation, and the parameters that it shares with the call.
_OPPOSITES: Final = {
    "PutObject": ("DeleteObject", ("Bucket", "Key")),
    "CreateModel": ("DeleteModel", ("ModelName",)),
    "CreateEndpointConfig": ("DeleteEndpointConfig", ("EndpointConfigName",)),
    "CreateEndpoint": ("DeleteEndpoint", ("EndpointName",)),
}


class Undo:
    """Takes calls back in reverse order when its block ends with an error.

    Not after an interruption or a timeout while SageMaker creates or updates the endpoint, which goes on, and
    not if the endpoint may still use the version.

    Args:
        session: account and region.
        settle: waits until the endpoint has settled.
        notice: is told what could not be removed.
    """

    def __init__(
        self, session: boto3.Session, settle: Callable[[], Any], notice: Callable[[str], None]
    ) -> None:
        self._session = session
        self._settle = settle
        self._notice = notice
        self._done: list[ApiCall] = []
        self.endpoint_is_changing = False

    def send(self, call: ApiCall) -> None:
        """Make a call that is to be taken back."""
        send(self._session, call)
        self.remember(call)

    def remember(self, call: ApiCall) -> None:
        """Take note of a call that was made by other means."""
        self._done.append(call)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take all calls back if the block failed; the error goes on."""
        if error is None or not self._may_take_back(error):
            return
        for call in reversed(self._done):
            self._take_back(call)

    def _may_take_back(self, error: BaseException) -> bool:
        if isinstance(error, DeploymentError):
            return not error.version_in_use
        if isinstance(error, StillSettlingError | KeyboardInterrupt):
            return not self.endpoint_is_changing
        return True

    def _take_back(self, call: ApiCall) -> None:
        operation, names = _OPPOSITES[call.operation]
        parameters = {name: call.parameters[name] for name in names}
        try:
            send(self._session, ApiCall(call.service, operation, parameters))
            if operation == "DeleteEndpoint":
                self._settle()
        except (ClientError, BotoCoreError, CloudError) as error:
            what = " ".join(map(str, parameters.values()))
            self._notice(f"{what} of the failed version could not be deleted: {aws_reason(error)}")
