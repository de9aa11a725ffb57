"""Option types and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

PROBABILITY: Final = click.FloatRange(0, 1)
POSITIVE: Final = click.IntRange(min=1)
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
EXISTING: Final = click.Path(exists=True, path_type=Path)
PATH: Final = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


class VariadicOption(click.Option):
    """An option that takes every value up to the next option: `--data a.tar.gz b.tar.gz`.

    It may also be given several times. The command receives a tuple, empty if the option was not given.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "multiple": True})

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Register with click's parser, and let the option take the values that follow its first."""
        super().add_to_parser(parser, ctx)
        for name in self.opts:
            option = parser._long_opt.get(name) or parser._short_opt.get(name)  # noqa: SLF001 - click has no hook
            if option is not None:
                option.process = _take_all(option, parser)


def _take_all(option: Any, parser: Any) -> Callable[[str, Any], None]:
    store = type(option).process

    def process(value: str, state: Any) -> None:
        store(option, value, state)
        prefixes = tuple(parser._opt_prefixes)  # noqa: SLF001
        while state.rargs and not state.rargs[0].startswith(prefixes):
            store(option, state.rargs.pop(0), state)

    return process


class NameList(click.ParamType):
    """Different names separated by commas, such as `bicycle,motorcycle`; converted to a tuple of str."""

    name = "NAME,NAME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split the text; fail on an empty or repeated name."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        if not all(names) or len(set(names)) != len(names):
            self.fail(f"{value!r} is not a list of different names separated by commas", param, ctx)
        return names
