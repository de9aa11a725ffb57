"""Errors that the emulator answers over HTTP, in the form of AWS's."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ApiError(Exception):
    """An error that is the answer to a request.

    Attributes:
        code: AWS's error code, what boto3 shows in brackets; empty when AWS sends none.
        message: the text for a person, in AWS's own words where they are known.
        status: HTTP status.
        extra: further members of the error's shape.
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
        if self.code:
            body["__type"] = self.code
        return body


def invalid(message: str) -> ApiError:
    """Return the error with which SageMaker's control plane answers nearly every invalid request."""
    return ApiError("ValidationException", message)
