"""Train in a SageMaker training job: the script-mode entry point, `python -m model_build.train`.

The same training as `scones model train`. SageMaker passes hyperparameters as options or as JSON in
the environment, data channels and the model folder in the environment, and expects the reason of a failure in
a file (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html).
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from commandline.errors import FAILED, CommandError
from commandline.program import explain
from model_build.commands.train import train_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Train with the given options, the process's own or SageMaker's; report a failure as SageMaker does."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        train_command.main(options(given, os.environ), prog_name="train", standalone_mode=False)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except CommandError as error:
        return _fail(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job's description must show it
        return _fail(explain(error) or traceback.format_exc(), FAILED)
    return 0


def options(given: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the options of `train` that a training job's environment stands for."""
    found = list(given) or [
        word
        for name, value in json.loads(environment.get("SM_HPS", "{}")).items()
        for word in (f"--{name}", value if isinstance(value, str) else json.dumps(value))
    ]
    channels = [value for name, value in sorted(environment.items()) if name.startswith("SM_CHANNEL_")]
    if channels and "--data" not in found:
        found += ["--data", *channels]
    if "SM_MODEL_DIR" in environment and "--output" not in found:
        found += ["--output", environment["SM_MODEL_DIR"]]
    return found


def _fail(message: str, exit_code: int) -> int:
    print(f"train: {message}", file=sys.stderr)
    folder = os.environ.get("SM_OUTPUT_DIR")
    if folder and Path(folder).is_dir():
        (Path(folder) / "failure").write_text(message, encoding="utf-8")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
