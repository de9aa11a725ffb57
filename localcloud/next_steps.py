"""What a user can do with a local cloud that is up."""

import os
import shlex
import sys
from pathlib import Path

from commandline.escapes import visible
from localcloud.lifecycle import stack_of
from localcloud.state import USUAL_STATE, Running, StateFolder
from operations.checks import run_checks
from operations.status import Situation


def print_next_steps(folder: StateFolder, running: Running) -> None:
    """Print where a local cloud listens, commands to try, which model serves, and the pages' addresses."""
    outputs = running.stack.get("outputs", {})
    print(f"The local cloud is up: AWS at {running.aws_url}, SageMaker at {running.sagemaker_url}")
    if not outputs:
        print("  nothing is deployed on it; deploy with: make up")
        return
    usual = folder.path == USUAL_STATE.resolve()
    scones = os.path.relpath(Path(sys.executable).with_name("scones"))
    other = f"{scones} local down --state {shlex.quote(os.path.relpath(folder.path))}"
    (model,) = run_checks(Situation(stack_of(folder, running)).model)
    print(
        f"\nTry:\n"
        f"  . {os.path.relpath(folder.env_file)}\n"
        f"  scones send photo.jpg\n"
        f"  scones results\n"
        f"  aws s3 cp photo.jpg s3://{outputs['PhotoBucketName']}/incoming/photo.jpg\n"
        f"\nLogs: {os.path.relpath(folder.logs)}. Stop it with: {'make down' if usual else other}\n"
        f"Model: {visible(model.detail)}\n"
        f"\nLook at what comes in:      {running.desk_url.replace('/?', '/live?')}\n"
        f"Decide on doubtful photos:  {running.desk_url}"
    )
