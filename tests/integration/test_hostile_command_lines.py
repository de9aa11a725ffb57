"""A thousand hostile command lines of the three programs: each ends in one line, never a traceback or a hang.

The programs run in this process, against AWS in moto, in a folder of their own, without any connection.
"""

import errno
import functools
import io
import os
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock, patch

import boto3
import click
import pytest
from moto import mock_aws
from PIL import Image

import localcloud.__main__
import model_build.__main__
import operations.__main__
from commandline.errors import CommandError
from commandline.program import LazyGroup
from commandline.program import run as run_program
from model_build.archive.package import DEFAULT_MODEL
from tests.support.aws_stack import create_in_cloudformation, deployed_stack, put_record, with_workflow

CASES: Final = 1000
PARTS: Final = 4
SECONDS: Final = 10
PROGRAMS: Final = {
    "operations": operations.__main__.program,
    "model_build": model_build.__main__.program,
    "localcloud": localcloud.__main__.program,
}
# What would start processes, serve or wait ends here, as if it had failed.
STARTS: Final = (
    "localcloud.commands.up.start_and_deploy",
    "localcloud.commands.demo.lifecycle.start_and_deploy",
    "operations.redrive.poll",
    "operations.photos.watcher.OutcomeListener.__enter__",
    "uvicorn.Server.run",
    "onnxruntime.InferenceSession",
    "subprocess.Popen",
    "tarfile.open",
    "webbrowser.open",
)
FILLERS: Final = {
    **dict.fromkeys(("paths", "files", "photo"), "photo.jpg"),
    **dict.fromkeys(("model", "models"), str(DEFAULT_MODEL)),
    "data": "archive.tar.gz",
    "output": "out",
    "bucket": "photos",
    "endpoint_name": "e",
    "role_arn": "arn:aws:iam::123456789012:role/scones-model",
    "captures": "captures",
    "classes": "bicycle,motorcycle",
    "prefix": "incoming/",
}
DEEP: Final = "[" * 100_000
HOSTILE: Final = (
    "", " ", "-", "--", "-1", "-0", "0", "nan", "-nan", "inf", "1e999", "9" * 400, "1e-320", "0x10", "٣", "½",
    "1_000", "999999d", "0s", "1e9d", "-5m", "24H", "\n", "a\nb", "a\r", "\t", "\x1b[31m", "\u202e", "\u2028",
    "\ud800", "\udcff.jpg", "é" * 300, "x" * 5000, "~nobody-of-this-name", "~", "a\0b", "*", "..", ".",
    "s3://", "s3:///", "s3:///key", "s3://photos", "s3://photos/", "s3://no such/ä", "S3://photos/x",
    "http://x", "photos", "incoming/", "no/such", "photo.jpg", "photo.jpg/x", "captures", "deep.json",
    "deep.json/", "odd\udcff", "s3://photos/deep.json", "archive.tar.gz", "/dev/null", "/dev/zero",
    "/proc/self/mem", "/proc/1/root", "-x", "--json", "--no-such", "=", ",", "a,,b", "good=nan",
    "good=1,good=0", "=.5",
    "arn:aws:iam::1:role/x", "{}", "[]", "null", DEEP[:3000], "%s%n{0}",
)  # fmt: skip


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command with its name, those of groups inside included."""
    context = click.Context(group)
    for name in group.lazy if isinstance(group, LazyGroup) else group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        elif command:
            yield (*path, name), command


@functools.cache
def commands() -> list[tuple[str, tuple[str, ...], click.Command]]:
    """Return each program's commands, which only the process that runs these tests has to import."""
    return [(name, path, command) for name, group in PROGRAMS.items() for path, command in leaves(group)]


def command_line(chance: random.Random) -> tuple[str, list[str]]:
    """Return a command with what it needs, in which one to three values are hostile."""
    program, path, command = chance.choice(commands())
    # Not of regions: moto knows AWS's only.
    parameters = [one for one in command.params if one.name not in {"help", "version", "region"}]
    chosen = chance.sample(parameters, min(len(parameters), chance.randint(1, 3)))
    options, arguments = [], []
    for one in parameters:
        value = hostile(chance) if one in chosen else FILLERS.get(str(one.name), "1")
        if isinstance(one, click.Option):
            if one in chosen and one.is_flag:
                options.append(one.opts[0])
            elif one in chosen or one.required:
                options += chance.choice(([f"{one.opts[0]}={value}"], [one.opts[0], value]))
        elif one in chosen or one.required:
            arguments.append(value)
    more = [hostile(chance)] if chance.random() < 0.1 else []
    return program, [*path, *options, *arguments, *more]


def hostile(chance: random.Random) -> str:
    """Return a value of the list, some of its parts joined, or any characters at all."""
    if chance.random() < 0.7:
        return chance.choice(HOSTILE)
    if chance.random() < 0.5:
        return "".join(chance.sample(HOSTILE, 2))
    return "".join(chr(chance.randint(1, chance.choice((127, 0x10FFFF)))) for _ in range(9))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make a folder with a few files, and AWS with a stack, a photo and a record; close every connection."""
    commands()  # imported before anything is patched
    folder = tmp_path_factory.mktemp("hostile") / "inner"  # `..` is small, too
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff not a photo")
    (folder / "archive.tar.gz").write_bytes(b"not an archive")
    (folder / "deep.json").write_text(DEEP)
    (folder / "captures").mkdir()
    (folder / "captures" / "deep.jsonl").write_text(DEEP + "\n")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    variables |= {
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull),
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test"),
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "1",
        "SCONES_STATE": str(folder / "state"),
        "HOME": str(folder),
    }
    before = Path.cwd()
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    with pytest.MonkeyPatch.context() as patches, patch.dict(os.environ, variables, clear=True), mock_aws():
        os.chdir(folder)
        patches.setattr(socket.socket, "connect", Mock(side_effect=refused))
        clients: dict[tuple[Any, ...], Any] = {}
        make = boto3.Session.client

        def client(session: boto3.Session, service: str, *names: Any, **more: Any) -> Any:
            """Make a client once: that takes longer than all else."""
            key = (service, session.region_name, session.profile_name, *names, *sorted(more))
            if "config" in more or key not in clients:
                clients[key] = make(session, service, *names, **more)  # type: ignore[call-overload]
            return clients[key]

        patches.setattr(boto3.Session, "client", client)
        patches.setattr("model_build.data.samples.draw", lambda *_: Image.new("RGB", (8, 8)))
        for target in STARTS:
            patches.setattr(target, Mock(side_effect=CommandError("nothing is started here")))
        stack = with_workflow(deployed_stack())
        url = stack.client("sqs").create_queue(QueueName="review")["QueueUrl"]
        stack.client("s3").put_object(Bucket="photos", Key="deep.json", Body=DEEP.encode())
        put_record(stack, "incoming/\x1b.jpg", "FAILED", error="Busy")
        more = {"ReviewQueueUrl": url, "ClassLabels": "bicycle,motorcycle"}
        create_in_cloudformation({**stack.outputs, **more})
        yield
        os.chdir(before)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("part", range(PARTS))
def test_hostile_command_lines_end_in_one_line(part: int) -> None:
    for seed in range(part, CASES, PARTS):
        check(*command_line(random.Random(seed)))  # noqa: S311 - cases, no secret


def check(program: str, arguments: list[str]) -> None:
    """Run a command line; its exit code is one of ours, and what it shows is no traceback."""
    out, err = io.StringIO(), io.StringIO()
    signal.signal(signal.SIGALRM, Mock(side_effect=AssertionError(f"it did not end within {SECONDS} s")))
    signal.alarm(SECONDS)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run_program(PROGRAMS[program], f"python -m {program}", arguments)
    except BaseException as error:
        error.add_note(f"python -m {program} {arguments!a}")
        raise
    finally:
        signal.alarm(0)
    shown = err.getvalue()
    assert code in {0, 1, 2}, (program, arguments)
    assert "Traceback" not in shown
    assert not {"\x1b", "\u202e", "\r"}.intersection(shown), (program, arguments, shown)
    if code and shown:
        assert shown.splitlines()[-1].startswith(f"python -m {program}"), (program, arguments, shown)
