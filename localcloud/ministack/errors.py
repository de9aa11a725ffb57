"""What the repairs share: a check that the installed ministack is the one that they were made for."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Value = TypeVar("Value")


class IncompatibleMinistackError(RuntimeError):
    """The installed ministack is not the one that a repair was made for."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: install the version of ministack in requirements/run.txt, or adapt localcloud/ministack"
        )


def expect(condition: object, what: str) -> None:
    """Raise an IncompatibleMinistackError that says what differs, unless a condition holds."""
    if not condition:
        raise IncompatibleMinistackError(what)


def wrap(
    module: Any, name: str, parameters: tuple[str, ...], around: Callable[[Any], Callable[..., Any]]
) -> None:
    """Replace a function of ministack by what `around` makes of it.

    Args:
        module: where it is.
        name: its name.
        parameters: its first ones, as the repair expects them.
        around: takes the function and returns the repaired one.

    Raises:
        IncompatibleMinistackError: there is no such function, or its parameters are others.
    """
    function = getattr(module, name, None)
    found = list(inspect.signature(function).parameters) if callable(function) else None
    expect(
        found is not None and tuple(found[: len(parameters)]) == parameters,
        f"{module.__name__}.{name} is another",
    )
    setattr(module, name, around(function))


@contextmanager
def during(variable: ContextVar[Value], value: Value) -> Iterator[None]:
    """Set a context variable for what runs inside."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
