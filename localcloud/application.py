"""Puts the application on a local cloud with the commands that put it on AWS: `sam` and `model_build`.

What differs from AWS is said in parameters only: the bucket's name, and the Python and processor of this
machine, which run the functions here.
"""

import hashlib
import json
import shlex
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3

from localcloud.host import build_target, host_architecture, host_runtime
from localcloud.state import Running, StateFolder, isolated_environment
from localcloud.steps import Steps, timed

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_MODEL = ROOT / "model_build" / "default_model"
ENDPOINT_NAME = "scones-vehicle-classifier"
STACK_NAME = "scones"
MODEL_BUCKET = "scones-models"
_ROLE_ARN = "arn:aws:iam::000000000000:role/local-sagemaker"
_BUILD_INPUTS = ("template.yaml", "samconfig.toml", "functions", "statemachine", "localcloud/application.py")


def parameters() -> dict[str, str]:
    """The template's parameters here: those of samconfig.toml's [local], and what this machine is."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    chosen = shlex.split(config["local"]["deploy"]["parameters"]["parameter_overrides"])
    return dict(pair.split("=", 1) for pair in chosen) | {
        "EndpointName": ENDPOINT_NAME,
        "PythonRuntime": host_runtime(),
        "Architecture": host_architecture(),
    }


def build_digest(root: Path = ROOT) -> str:
    """A digest of everything that decides what `sam build` makes."""
    digest = hashlib.sha256(f"{version('aws-sam-cli')} {host_runtime()} {host_architecture()}".encode())
    for name in _BUILD_INPUTS:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"\0{path.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Application:
    """The application on one local cloud.

    Args:
        folder: The state folder; what was built is kept there.
        steps: Runs the commands.
    """

    def __init__(self, folder: StateFolder, steps: Steps) -> None:
        self._folder = folder
        self._steps = steps
        self._build = folder.path / "sam-build"
        self._digest_file = folder.path / "sam-build.digest"

    def build(self) -> None:
        """Run `sam build`, unless its inputs are those of the last time.

        Raises:
            StepError: It failed.
        """
        digest = build_digest()
        if self._digest_file.exists() and self._digest_file.read_text() == digest:
            return
        self._digest_file.unlink(missing_ok=True)
        environment = isolated_environment(None) | {
            **build_target(),
            "PYTHON": sys.executable,
        }
        with timed("functions built"):
            self._steps.run(
                "sam-build",
                [*_sam("build"), "--build-dir", str(self._build), *_overrides()],
                environment,
                ROOT,
            )
        self._digest_file.write_text(digest)

    def deploy(self, running: Running, model: Path) -> None:
        """Deploy the stack and, beside it, the model; note both in `running`.

        Args:
            running: The local cloud.
            model: Model folder or model.tar.gz.

        Raises:
            StepError: One of them failed.
        """
        with ThreadPoolExecutor(2) as pool:
            tasks = [pool.submit(self.deploy_stack, running), pool.submit(self.deploy_model, running, model)]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                self._steps.stop()
                raise
        running.stack = describe_stack()
        running.endpoint = ENDPOINT_NAME

    def deploy_stack(self, running: Running) -> None:
        """Run `sam deploy`."""
        with timed("stack deployed"):
            self._steps.run(
                "sam-deploy",
                [
                    *_sam("deploy"),
                    *("--template-file", str(self._build / "template.yaml")),
                    *("--stack-name", STACK_NAME),
                    *_overrides(),
                ],
                isolated_environment(running),
                ROOT,
            )

    def deploy_model(self, running: Running, model: Path) -> None:
        """Run `model_build deploy`, with data capture as on AWS."""
        with timed("model deployed"):
            boto3.client("s3").create_bucket(Bucket=MODEL_BUCKET)
            self._steps.run(
                "model-deploy",
                [
                    *(sys.executable, "-m", "model_build", "deploy", "--model", str(model)),
                    *("--endpoint-name", ENDPOINT_NAME, "--role-arn", _ROLE_ARN),
                    *("--bucket", MODEL_BUCKET, "--capture"),
                ],
                isolated_environment(running),
                ROOT,
            )


def describe_stack() -> dict[str, Any]:
    """Name, outputs and parameters of the deployed stack."""
    stack = boto3.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {
        "name": STACK_NAME,
        "outputs": {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])},
        "parameters": parameters(),
    }


def _sam(command: str) -> list[str]:
    # Named, because `sam` looks for it beside the template, and the built template is elsewhere.
    config = str(ROOT / "samconfig.toml")
    program = str(Path(sys.executable).with_name("sam"))
    return [program, command, "--config-file", config, "--config-env", "local"]


def _overrides() -> list[str]:
    return ["--parameter-overrides", *(f"{name}={json.dumps(value)}" for name, value in parameters().items())]
