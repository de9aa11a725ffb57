"""`python -m localcloud COMMAND`: the whole application on this machine, without AWS, Docker or network."""

import argparse
import json
import os
import shlex
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from localcloud import lifecycle
from localcloud.application import DEFAULT_MODEL, ROOT, Application
from localcloud.state import Running, StateFolder
from localcloud.steps import StepError, Steps, say, timed
from localcloud.supervisor import StartError
from model_build.errors import ModelBuildError
from operations.photos.send import send_photos
from operations.photos.sources import Photo, find_photos
from operations.stack import Stack

_FAILED = 1
_USAGE = 2
_INTERRUPTED = 130
_USUAL_STATE = ROOT / "build" / "localcloud"
_LOOPBACK = "127.0.0.1"
_EXPECTED = (
    StepError,
    StartError,
    lifecycle.AlreadyRunningError,
    ModelBuildError,
    ClientError,
    BotoCoreError,
)
"""What can go wrong without being a mistake in here: told in a line, without a trace."""


class UsageError(Exception):
    """The command can't do what it was asked; the text says why and what to do."""


def _up(arguments: argparse.Namespace) -> int:
    folder = StateFolder(arguments.state)
    model = _model(arguments.model)
    with Steps(folder.logs) as steps:
        application = Application(folder, steps)
        running = folder.load()
        if running and arguments.bind not in {_LOOPBACK, running.bind}:
            raise UsageError(
                f"a local cloud runs already, and listens on {running.bind}: stop it first (make down) "
                f"to have one on {arguments.bind}"
            )
        if running:
            say(f"a local cloud runs already ({folder.path}); deploying to it again")
            application.build()
            _deploy(folder, application, running, model)
            process = None
        else:
            running, process = _start_and_build(folder, application, arguments.bind, owned=False)
            try:
                _deploy(folder, application, running, model)
            except BaseException:
                lifecycle.stop_process(process)
                raise
    _print_next_steps(folder, running)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    stopped = lifecycle.stop(StateFolder(arguments.state))
    say("stopped" if stopped else f"nothing runs with the state folder {arguments.state}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    folder = StateFolder(arguments.state)
    running = folder.load()
    if arguments.json:
        shown = {"running": running is not None, "state": str(folder.path)}
        if running:
            shown |= vars(running) | {"env_file": str(folder.env_file), "logs": str(folder.logs)}
        print(json.dumps(shown))
    elif running:
        _print_next_steps(folder, running)
    else:
        print(f"nothing runs with the state folder {folder.path}; start it with: make up")
    return 0 if running else _FAILED


def _demo(arguments: argparse.Namespace) -> int:
    folder = StateFolder(arguments.state)
    model = _model(arguments.model)
    if arguments.photos and not arguments.photos.is_dir():
        raise UsageError(f"{arguments.photos} is no folder")
    if arguments.data and not arguments.data.is_file():
        raise UsageError(f"there is no archive {arguments.data}")
    if folder.supervisor():
        raise UsageError(
            f"a local cloud runs already with the state folder {folder.path}: send photos to it with "
            "`python -m localcloud send FILE…`, or stop it first (make down)"
        )
    with Steps(folder.logs) as steps, ThreadPoolExecutor(1) as pool:
        photos = pool.submit(_chosen_photos, folder, arguments)
        application = Application(folder, steps)
        running, process = _start_and_build(folder, application, arguments.bind, owned=True)
        try:
            chosen = photos.result()[: arguments.limit]
            _deploy(folder, application, running, model)
            return _classify(running, chosen, arguments)
        finally:
            lifecycle.stop_process(process)


def _send(arguments: argparse.Namespace) -> int:
    folder = StateFolder(arguments.state)
    running = folder.load()
    if running is None or not running.stack:
        raise UsageError(f"nothing runs with the state folder {folder.path}; start it with: make up")
    missing = [str(path) for path in arguments.files if not path.is_file()]
    if missing:
        raise UsageError(f"no such file: {', '.join(missing)}")
    lifecycle.use(running)
    return _classify(running, find_photos(arguments.files).photos, arguments)


def _start_and_build(folder: StateFolder, application: Application, bind: str, *, owned: bool) -> Any:
    build: Future[None] = Future()

    def run() -> None:
        try:
            application.build()
            build.set_result(None)
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            build.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    running, process = lifecycle.start(folder, bind, owned=owned)
    try:
        lifecycle.use(running)
        build.result()
    except BaseException:
        lifecycle.stop_process(process)
        raise
    return running, process


def _deploy(folder: StateFolder, application: Application, running: Running, model: Path) -> None:
    lifecycle.use(running)
    try:
        application.deploy(running, model)
    except StepError as error:
        say(str(error))
        lifecycle.require_alive(folder)
        raise StepError("deploying failed, see above") from error
    folder.save(running)


def _classify(running: Running, photos: Sequence[Photo], arguments: argparse.Namespace) -> int:
    if not photos:
        raise UsageError("there are no photos to send")
    stack = Stack(running.stack["name"], running.stack["outputs"], boto3.Session())
    good = send_photos(stack, photos, timeout_s=arguments.timeout, as_json=arguments.json)
    return 0 if good else _FAILED


def _chosen_photos(folder: StateFolder, arguments: argparse.Namespace) -> list[Photo]:
    """The user's photos, or our drawings and what test images are at hand."""
    if arguments.photos:
        return find_photos([arguments.photos]).photos
    from localcloud.samples import sample_photos  # noqa: PLC0415  # needed without --photos only

    with timed("sample photos drawn"):
        return sample_photos(folder.path / "samples", arguments.data)


def _model(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"there is no model at {path}: give a model folder or model.tar.gz with --model")
    return path.resolve()


def _print_next_steps(folder: StateFolder, running: Running) -> None:
    outputs = running.stack.get("outputs", {})
    print(f"The local cloud is up: AWS at {running.aws_url}, SageMaker at {running.sagemaker_url}")
    for name, value in sorted(outputs.items()):
        print(f"  {name:<28} {value}")
    if not outputs:
        print("  nothing is deployed on it; deploy with: make up")
        return
    env_file = os.path.relpath(folder.env_file)
    usual = folder.path == _USUAL_STATE.resolve()
    state = "" if usual else f"--state {shlex.quote(os.path.relpath(folder.path))} "
    stop = "make down" if usual else f"{os.path.relpath(sys.executable)} -m localcloud down {state}"
    print(
        f"\nTry:\n"
        f"  . {env_file}\n"
        f"  aws s3 cp photo.jpg s3://{outputs['PhotoBucketName']}/incoming/photo.jpg\n"
        f"  aws dynamodb scan --table-name {outputs['ResultsTableName']}\n"
        f"  {os.path.relpath(sys.executable)} -m localcloud send {state}photo.jpg\n"
        f"\nLogs: {os.path.relpath(folder.logs)}. Stop it with: {stop}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    default = os.environ.get("SCONES_STATE")

    def add(name: str, run: Any, text: str, state: Path) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
        where = Path(default) if default else state
        command.add_argument(
            "--state",
            type=Path,
            default=where,
            metavar="DIR",
            help="folder of this local cloud's state and logs, also SCONES_STATE (default: %(default)s)",
        )
        command.set_defaults(run=run)
        return command

    up = add("up", _up, "start the application and leave it running", _USUAL_STATE)
    down = add("down", _down, "stop it", _USUAL_STATE)
    status = add("status", _status, "tell whether it runs, and where", _USUAL_STATE)
    demo = add("demo", _demo, "start it, classify photos, stop it", ROOT / "build" / "demo")
    send = add("send", _send, "classify photos with what `up` started", _USUAL_STATE)
    del down
    status.add_argument("--json", action="store_true", help="print one JSON object")
    for command in (up, demo):
        command.add_argument(
            "--model",
            type=Path,
            default=DEFAULT_MODEL,
            metavar="PATH",
            help="model folder or model.tar.gz behind the endpoint (default: the shipped one)",
        )
        command.add_argument(
            "--bind",
            default=_LOOPBACK,
            metavar="ADDRESS",
            help="address to listen on; any other lets other machines in (default: %(default)s)",
        )
    for command in (demo, send):
        command.add_argument("--json", action="store_true", help="print one JSON object a line")
        command.add_argument(
            "--timeout",
            type=float,
            default=180,
            metavar="SECONDS",
            help="how long one photo may take (default: %(default)s)",
        )
    send.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a photo")
    _add_photo_options(demo)
    return parser


def _add_photo_options(demo: argparse.ArgumentParser) -> None:
    demo.add_argument(
        "--photos", type=Path, metavar="DIR", help="your photos, subfolders included (default: samples)"
    )
    demo.add_argument(
        "--data",
        type=Path,
        metavar="ARCHIVE",
        help="a CIFAR archive, of which some test images join the samples (default: CIFAR-100 where found)",
    )
    demo.add_argument("--limit", type=int, metavar="N", help="at most so many photos")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Command line without the program; the process's own by default.

    Returns:
        Exit status: 0 done, 1 failed, 2 wrong use, 130 interrupted.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names can be anything
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    chosen = _parser().parse_args(arguments)
    lifecycle.interruptible()
    try:
        return int(chosen.run(chosen))
    except UsageError as error:
        say(f"localcloud {chosen.command}: {error}")
        return _USAGE
    except _EXPECTED as error:
        say(f"localcloud {chosen.command}: {error}")
        return _FAILED
    except KeyboardInterrupt:
        say("interrupted")
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
