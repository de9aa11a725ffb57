"""Option types and options that several commands share."""

import math
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
LONGEST: Final = timedelta(days=36_525)  # a century, far from the ends of the calendar


class HomePath(click.Path):
    """A path, not empty; a leading `~` is the home folder, which no shell replaces in `PHOTOS=~/photos`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Replace `~` and check the path as click does."""
        if not str(value):  # which would be the working folder
            self.fail("an empty path", param, ctx)
        try:
            path = Path(value).expanduser()
            if self.exists and path.is_char_device():  # such as /dev/zero, which has no end
                self.fail(f"{str(value)!r} is a device", param, ctx)
            return super().convert(path, param, ctx)
        # A NUL, the home of nobody, or a name that is too long:
        except (ValueError, RuntimeError, OSError) as error:
            self.fail(f"{str(value)[:100]!r}: {getattr(error, 'strerror', None) or error}", param, ctx)


class Seconds(click.ParamType):
    """A time in seconds above 0 and up to a century; converted to float."""

    name = "SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number; fail on 0, a negative number, infinity and NaN."""
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = math.nan
        if not 0 < seconds <= LONGEST.total_seconds():
            self.fail(f"{value!r} is not a number of seconds above 0", param, ctx)
        return seconds


class Duration(click.ParamType):
    """A time with a unit, such as `90s`, `30m`, `24h` or `7d`, up to a century; converted to timedelta."""

    name = "DURATION"
    _UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read number and unit; fail on anything else, and on 0."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,10}(?:\.[0-9]{1,9})?)([smhd])", str(value).strip().lower())
        time = timedelta(**{self._UNITS[found[2]]: min(float(found[1]), 1e8)}) if found else timedelta()
        if not timedelta() < time <= LONGEST:
            self.fail(f"{value!r} is not a time such as 90s, 30m, 24h or 7d", param, ctx)
        return time


class FiniteRange(click.FloatRange):
    """A range of numbers without NaN and infinity, which click's own range lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the number; fail outside of the range."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


PROBABILITY: Final = FiniteRange(0, 1)
SECONDS: Final = Seconds()
POSITIVE: Final = click.IntRange(min=1)
FILE: Final = HomePath(exists=True, dir_okay=False, path_type=Path)
FOLDER: Final = HomePath(exists=True, file_okay=False, path_type=Path)
EXISTING: Final = HomePath(exists=True, path_type=Path)
PATH: Final = HomePath(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
trust_code_option = click.option(
    "--trust-code", is_flag=True, help="Run code in the model that is not this project's, with your rights."
)


def timeout_option(default: float) -> Callable[[Command], Command]:
    """Return the option `--timeout` of a command that waits."""
    name = "timeout_seconds"
    return click.option("--timeout", name, type=SECONDS, default=default, help="How long to wait.")


class VariadicOption(click.Option):
    """An option that takes all values up to the next one (`--data a b`), and may be repeated: a tuple."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "multiple": True})

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Register with click's parser, and let the option take the values that follow its first."""
        super().add_to_parser(parser, ctx)
        option = parser._long_opt[self.opts[0]]  # noqa: SLF001 - click has no hook
        store, prefixes = option.process, tuple(parser._opt_prefixes)  # noqa: SLF001

        def process(value: str, state: Any) -> None:
            store(value, state)
            while state.rargs and not state.rargs[0].startswith(prefixes):
                store(state.rargs.pop(0), state)

        option.process = process


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
