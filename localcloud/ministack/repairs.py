"""How ministack is changed: functions are put around its own, or pieces of their source replaced."""

import functools
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Value = TypeVar("Value")
Function = TypeVar("Function", bound=Callable[..., Any])


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


class Repairs:
    """What one module changes of ministack. Nothing is changed before `apply`, and nothing unless `when`.

    `apply` raises an IncompatibleMinistackError where a function of ministack is not the one that is known.
    """

    def __init__(self, *, when: object = True) -> None:
        self._when = when
        self._rewrites: list[Callable[[], None]] = []
        self._steps: list[Callable[[], None]] = []

    def step(self, function: Callable[[], None]) -> Callable[[], None]:
        """Let a function be called by `apply` (decorator)."""
        self._steps.append(function)
        return function

    def around(self, module: Any, name: str, *parameters: str) -> Callable[[Function], Function]:
        """Let a function stand for one of ministack's, which it gets first (decorator).

        `parameters` are the first that ministack's has.
        """

        def decorate(function: Function) -> Function:
            self._steps.append(functools.partial(_wrap, module, name, parameters, function))
            return function

        return decorate

    def instead(self, module: Any, name: str, *parameters: str) -> Callable[[Function], Function]:
        """Let a function stand for one of ministack's, which it does not need (decorator)."""

        def decorate(function: Function) -> Function:
            self.around(module, name, *parameters)(lambda _, *args, **kwargs: function(*args, **kwargs))
            return function

        return decorate

    def rewrite(
        self, module: Any, changes: Mapping[str, Mapping[str, str]], *functions: Any, **more: Any
    ) -> None:
        """Change pieces of the source of functions, by their names, before anything is put around them.

        Each piece occurs once. The new ones may use `more`, and these functions by their names with a `_`.
        """
        helpers = {f"_{one.__name__.lstrip('_')}": one for one in functions} | more
        self._rewrites.append(functools.partial(_rewrite, module, changes, helpers))

    def apply(self) -> None:
        """Repair the imported ministack."""
        for step in [*self._rewrites, *self._steps] if self._when else []:
            step()


def _wrap(module: Any, name: str, parameters: tuple[str, ...], function: Callable[..., Any]) -> None:
    original: Any = getattr(module, name, None)
    found = tuple(inspect.signature(original).parameters) if callable(original) else None
    expect(
        found is not None and found[: len(parameters)] == parameters, f"{module.__name__}.{name} is another"
    )

    @functools.wraps(original)
    def repaired(*args: Any, **kwargs: Any) -> Any:
        return function(original, *args, **kwargs)

    setattr(module, name, repaired)


def _rewrite(module: Any, changes: Mapping[str, Mapping[str, str]], helpers: Mapping[str, Any]) -> None:
    vars(module).update(helpers)
    for name, pieces in changes.items():
        function: Any = getattr(module, name, None)
        whose = f"{module.__name__}.{name}"
        expect(inspect.isfunction(function) and not hasattr(function, "__wrapped__"), f"{whose} is another")
        source, file = replaced(inspect.getsource(function), pieces, whose), f"<{whose} as on AWS>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), vars(module))  # noqa: S102 - ministack's own


def replaced(source: str, pieces: Mapping[str, str], name: str) -> str:
    """Return a source with pieces replaced; an IncompatibleMinistackError if one does not occur once."""
    for piece, changed in pieces.items():
        expect(source.count(piece) == 1, f"{name} has not once {piece!r}")
        source = source.replace(piece, changed)
    return source


@contextmanager
def during(variable: ContextVar[Value], value: Value) -> Iterator[None]:
    """Set a context variable for what runs inside."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
