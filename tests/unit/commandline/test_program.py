"""How the programs find commands, report errors and exit."""

import errno
import os
import subprocess
import sys
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
        "old": LazyCommand(f"{__name__}:show", "The former name.", hidden=True),
    },
)
def program() -> None:
    """Greet."""


def call(*arguments: str) -> int:
    sys.modules.setdefault(__name__, sys.modules[__name__])
    return run(program, "program", arguments)


def test_help_lists_commands_without_importing_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    shown = capsys.readouterr().out
    assert "Never imported" in shown
    assert "former name" not in shown


@pytest.mark.parametrize(("command", "arguments"), [(show, ["--help"]), (program, ["show", "--help"])])
def test_an_example_keeps_its_line_breaks(
    command: click.Command, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "program", arguments) == 0
    shown = capsys.readouterr().out
    assert "  Example:\n    program show --data a b\n" in shown
    assert "\\b" not in shown


def test_a_wrong_command_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("shwo") == 2
    assert "Did you mean show?" in capsys.readouterr().err


def test_a_variadic_option_takes_values_up_to_the_next_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", "--data", "a", "b", "--names", "x,y", "--data", "c") == 0
    assert capsys.readouterr().out == "['a', 'b', 'c'] ('x', 'y') []\n"


@pytest.mark.parametrize("text", ["x,x", "x,", ","])
def test_a_name_list_refuses_empty_and_repeated_names(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", "--names", text) == 2
    assert "different names" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        ("command", 1, "program show: the stack is gone: deploy it again"),
        ("socket", 1, "program show: Broken pipe"),
        ("usage", 2, "program show: --a excludes --b"),
        ("interrupt", 130, "program show: interrupted"),
        ("disk", 1, "program show: /data/x: No space left on device"),
        ("profile", 1, "program show: The config profile (nobody) could not be found"),
        ("torch", 1, "make .venv/train/.made"),
        ("name", 1, r"program show: s3://b/line\nbreak: there is no such photo"),
        ("home", 1, "give the whole path"),
        ("text", 1, r"'\udcff' is not valid UTF-8"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: str, code: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("show", "--fail", error) == code
    reported = capsys.readouterr().err
    assert shown in reported
    assert len(reported.strip().splitlines()) == 1


def test_the_end_of_a_log_is_shown_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", "--fail", "log") == 1
    assert capsys.readouterr().err == "program show: it failed:\n  a line of its log\n"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        call("show", "--fail", "bug")


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out.startswith("scones-vehicle-classification ")


def test_wrong_use_is_one_line_with_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", "--no-such-option") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "program show: No such option: --no-such-option. See: program show --help"


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


def test_onnxruntime_sends_and_stores_no_usage_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    call("--version")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
