"""`python -m model_build COMMAND`; a command is a module with `add_arguments(parser)` and `run(args) -> int`.

A command's module is imported only when it is asked for: the list of commands appears at once, and only
`train` and `cross-validate` need PyTorch.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from model_build.errors import ModelBuildError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "extract": (
        "data.lst_format",
        "write an archive's images as PNGs with the lists SageMaker's own algorithm reads",
    ),
    "train": ("train", "train a model here (needs PyTorch), or with --sagemaker in the cloud"),
    "cross-validate": (
        "training.cross_validation",
        "measure a recipe without touching the test images (needs PyTorch)",
    ),
    "evaluate": (
        "evaluation.report",
        "measure a model: accuracy, coverage, calibration, what it lets through",
    ),
    "predict": ("commands.predict", "classify image files"),
    "card": ("evaluation.model_card", "write the model card from a fresh evaluation"),
    "samples": ("data.drawings", "draw the sample photos of the demo and of events/"),
    "package": ("artifact.package", "make the model.tar.gz that an endpoint runs"),
    "deploy": ("endpoint.deploy", "put a model behind a SageMaker endpoint, or update it"),
    "status": ("endpoint.status", "tell what an endpoint runs and how it is"),
    "cost": ("endpoint.cost", "tell what an endpoint costs"),
    "delete": ("endpoint.delete", "delete an endpoint and what belongs to it"),
}

PROGRAM: Final = "python -m model_build"


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "commands:",
            *lines,
            "",
            "COMMAND --help tells its options.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command and its options; those of the process by default.

    Returns:
        The exit status: 0 done, 1 it failed, 2 it was asked for wrongly.
    """
    asked = list(sys.argv[1:] if arguments is None else arguments)
    if not asked or asked[0] in {"-h", "--help"}:
        print(_usage(), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    name = asked[0]
    if name not in COMMANDS:
        print(f"{PROGRAM}: there is no command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module_name, purpose = COMMANDS[name]
    if name == "train" and "--sagemaker" in asked:
        module_name = "cloud_training.request"  # has options of its own, and needs the SDK instead of PyTorch
    try:
        module = importlib.import_module(f"model_build.{module_name}")
    except ModuleNotFoundError as exc:
        return _missing_module(name, exc)
    parser = argparse.ArgumentParser(
        f"{PROGRAM} {name}", description=module.__doc__ or purpose, formatter_class=_HelpFormatter
    )
    module.add_arguments(parser)
    try:
        return int(module.run(parser.parse_args(asked[1:])))
    except ModelBuildError as exc:
        print(f"{PROGRAM} {name}: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print(f"{PROGRAM} {name}: stopped", file=sys.stderr)
        return 130


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps a description's paragraphs and tells each option's default, where it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default == []
        return action.help if nothing else super()._get_help_string(action)


def _missing_module(command: str, exc: ModuleNotFoundError) -> int:
    """Tell which environment has what is missing."""
    if (exc.name or "").startswith("model_build"):
        raise exc
    print(
        f"{PROGRAM} {command}: {exc.name} is not installed in {sys.prefix}. `make .venv/run/.made` makes an "
        "environment for every command but train and cross-validate, which need PyTorch: "
        f"`make .venv/train/.made`, then .venv/train/bin/{PROGRAM} {command} ...",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
