"""How the programs find commands, report errors and exit."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from botocore.exceptions import ProfileNotFound

from commandline.errors import CommandError, UsageError
from commandline.options import NameList, VariadicOption
from commandline.program import LazyCommand, LazyGroup, run


@click.command()
@click.option("--data", cls=VariadicOption, type=click.Path(path_type=Path))
@click.option("--names", type=NameList())
@click.option("--fail", "fail_with")
@click.argument("files", nargs=-1)
def show(
    data: tuple[Path, ...], names: tuple[str, ...] | None, fail_with: str | None, files: tuple[str, ...]
) -> None:
    r"""Show what was given.

    \b
    Example:
      program show --data a b
    """
    if fail_with:
        raise ERRORS[fail_with]
    print([str(path) for path in data], names, list(files))


class LoggedError(CommandError):
    """An error whose message ends with lines of a log."""

    with_log = True


ERRORS: dict[str, BaseException] = {
    "command": CommandError("the stack is gone: deploy it again"),
    "log": LoggedError("it failed:\n  a line of its log"),
    "socket": BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "usage": UsageError("--a excludes --b"),
    "interrupt": KeyboardInterrupt(),
    "disk": OSError(errno.ENOSPC, "No space left on device", "/data/x"),
    "profile": ProfileNotFound(profile="nobody"),
    "torch": ModuleNotFoundError("No module named 'torch'", name="torch"),
    "name": CommandError("s3://b/line\nbreak: there is no such photo"),
    "home": RuntimeError("Could not determine home directory."),
    "text": UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
    "bug": ZeroDivisionError("a bug"),
}


@click.group(
    cls=LazyGroup,
    lazy={
        "show": LazyCommand(f"{__name__}:show", "Show what was given."),
        "broken": LazyCommand("no.such.module:command", "Never imported by --help."),
    },
)
def program() -> None:
    """Greet."""


Call = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Return what runs a command line; it returns exit code, output and errors."""

    def ended(line: str) -> tuple[int, str, str]:
        return run(program, "program", line.split()), *capsys.readouterr()

    return ended


def test_help_lists_commands_without_importing_them(call: Call) -> None:
    code, shown, _ = call("--help")
    assert code == 0
    assert "Never imported" in shown


@pytest.mark.parametrize(("command", "arguments"), [(show, ["--help"]), (program, ["show", "--help"])])
def test_an_example_keeps_its_line_breaks(
    command: click.Command, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "program", arguments) == 0
    shown = capsys.readouterr().out
    assert "  Example:\n    program show --data a b\n" in shown
    assert "\\b" not in shown


def test_a_variadic_option_takes_values_up_to_the_next_option(call: Call) -> None:
    shown = "['a', 'b', 'c'] ('x', 'y') []\n"
    assert call("show --data a b --names x,y --data c") == (0, shown, "")


@pytest.mark.parametrize(
    ("line", "code", "shown"),
    [
        ("shwo", 2, "Did you mean show?"),
        *((f"show --names {text}", 2, "different names") for text in ("x,x", "x,", ",")),
        ("show --fail command", 1, "program show: the stack is gone: deploy it again"),
        ("show --fail socket", 1, "program show: Broken pipe"),
        ("show --fail usage", 2, "program show: --a excludes --b"),
        ("show --fail interrupt", 130, "program show: interrupted"),
        ("show --fail disk", 1, "program show: /data/x: No space left on device"),
        ("show --fail profile", 1, "program show: The config profile (nobody) could not be found"),
        ("show --fail torch", 1, "make .venv/train/.made"),
        ("show --fail name", 1, r"program show: s3://b/line\nbreak: there is no such photo"),
        ("show --fail home", 1, "give the whole path"),
        ("show --fail text", 1, r"'\udcff' is not valid UTF-8"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(call: Call, line: str, code: int, shown: str) -> None:
    ended, _, reported = call(line)
    assert ended == code
    assert shown in reported
    assert len(reported.strip().splitlines()) == 1


def test_other_endings(call: Call) -> None:
    where = "program show: No such option: --no-such-option. See: program show --help\n"
    assert call("show --no-such-option") == (2, "", where)
    assert call("show --fail log") == (1, "", "program show: it failed:\n  a line of its log\n")
    assert call("--version")[1].startswith("scones-vehicle-classification ")
    with pytest.raises(ZeroDivisionError):  # a bug keeps its traceback
        call("show --fail bug")


PROGRAM = [sys.executable, "-m", "operations"]


def test_a_reader_that_has_gone_is_no_error() -> None:
    with subprocess.Popen(
        [*PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.close()
        _, errors = writer.communicate(timeout=60)
    assert (writer.returncode, errors) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, "python -m operations: No space left on device\n")


def test_onnxruntime_sends_and_stores_no_usage_reports(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert call("--version")[0] == 0
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
