"""Errors that the stand-in answers over HTTP, shaped as AWS shapes them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        code: AWS's error code, what boto3 shows in brackets; empty when AWS sends none.
        message: The text for a person, in AWS's own words where they are known.
        status: HTTP status.
        extra: Further members of the error's shape.
    """

    code: str
    message: str
    status: int = 400
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Code and message, as boto3 would print them."""
        return f"{self.code}: {self.message}"

    def body(self) -> dict[str, Any]:
        """The JSON body, with the message under both spellings that AWS's protocols use."""
        body: dict[str, Any] = {"message": self.message, "Message": self.message, **self.extra}
        if self.code:
            body["__type"] = self.code
        return body


def invalid(message: str) -> ApiError:
    """The error that SageMaker's control plane gives for nearly everything."""
    return ApiError("ValidationException", message)
