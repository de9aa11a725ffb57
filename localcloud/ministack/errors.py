"""What the repairs share: a check that the installed ministack is the one that they were made for."""

import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping
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
    """Replace a function of ministack, whose first parameters are known, by what `around` makes of it.

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


def replaced(source: str, pieces: Mapping[str, str], name: str) -> str:
    """Return the source of something in ministack with pieces replaced, each of which occurs once.

    Raises:
        IncompatibleMinistackError: a piece does not occur once.
    """
    for piece, changed in pieces.items():
        expect(source.count(piece) == 1, f"{name} has not once {piece!r}")
        source = source.replace(piece, changed)
    return source


def rewrite(module: Any, changes: Mapping[str, Mapping[str, str]], **helpers: Any) -> None:
    """Change pieces of the source of ministack's functions, before they are wrapped.

    Args:
        module: where they are.
        changes: by the name of a function, pieces that occur once and what replaces each.
        helpers: what the new pieces use, put into the module.

    Raises:
        IncompatibleMinistackError: there is no such function, or a piece does not occur once.
    """
    vars(module).update(helpers)
    for name, pieces in changes.items():
        function: Any = getattr(module, name, None)
        expect(inspect.isfunction(function), f"{module.__name__}.{name} is gone")
        source = replaced(inspect.getsource(function), pieces, f"{module.__name__}.{name}")
        file = f"<{module.__name__}.{name} as on AWS>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), vars(module))  # noqa: S102 - ministack's own


@contextmanager
def during(variable: ContextVar[Value], value: Value) -> Iterator[None]:
    """Set a context variable for what runs inside."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
