"""What the control plane stores: records with a name, an ARN and a creation time, found and listed alike."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from localcloud.sagemaker.errors import invalid

ACCOUNT = "000000000000"
"""The account id that ministack uses."""

REGION = "us-east-1"

_DEFAULT_PAGE = 10


def arn_of(kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource; names are in lower case there."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"


@dataclass
class Resource:
    """One record.

    Attributes:
        name: as the request spelled it.
        arn: its ARN.
        request: the request that created it.
        created: seconds since 1970.
    """

    name: str
    arn: str
    request: dict[str, Any]
    created: float = field(default_factory=time.time)


R = TypeVar("R", bound=Resource)


class Collection(Generic[R]):
    """All resources of one kind, with SageMaker's error messages.

    Args:
        kind: the word in ARNs: `model`, `endpoint-config`, `endpoint`.
        title: the words in messages: `model`, `endpoint configuration`, `endpoint`.
    """

    def __init__(self, kind: str, title: str) -> None:
        self.kind = kind
        self.title = title
        self._items: dict[str, R] = {}

    def refuse_existing(self, name: str) -> str:
        """Return the ARN for a new resource.

        Raises:
            ApiError: the name is taken.
        """
        arn = arn_of(self.kind, name)
        if name in self._items:
            raise invalid(f'Cannot create already existing {self.title} "{arn}".')
        return arn

    def add(self, resource: R) -> None:
        """Add a new resource."""
        self._items[resource.name] = resource

    def find(self, name: str) -> R:
        """Return the resource of that name.

        Raises:
            ApiError: there is none.
        """
        if name not in self._items:
            raise invalid(f'Could not find {self.title} "{arn_of(self.kind, name)}".')
        return self._items[name]

    def discard(self, name: str) -> None:
        """Remove a resource, if it is there."""
        self._items.pop(name, None)

    def __iter__(self) -> Any:
        """Iterate over all of them, oldest first."""
        return iter(list(self._items.values()))

    def page(
        self,
        params: dict[str, Any],
        matches: Callable[[R], bool] = lambda _: True,
    ) -> tuple[list[R], dict[str, str]]:
        """Return one page of a List operation.

        Args:
            params: the request: NameContains, SortBy, SortOrder, MaxResults, NextToken.
            matches: a further filter.

        Returns:
            The resources and, when there are more, {"NextToken": …}.
        """
        wanted = params.get("NameContains", "").lower()
        found = [item for item in self if wanted in item.name.lower() and matches(item)]
        by_name = params.get("SortBy") == "Name"
        newest_first = params.get("SortOrder", "Descending") == "Descending"
        found.sort(key=lambda item: item.name if by_name else item.created, reverse=newest_first)
        start = int(params.get("NextToken", "0"))
        end = start + params.get("MaxResults", _DEFAULT_PAGE)
        return found[start:end], {"NextToken": str(end)} if end < len(found) else {}
