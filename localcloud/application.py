"""Puts the application on a local cloud with the commands that put it on AWS: `sam` and `model_build`.

What differs from AWS are parameters only: the bucket's name, and the Python and processor of this
machine, which run the functions here. `ClassLabels` are the labels of the model.
"""

import hashlib
import json
import re
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import boto3

from commandline.terminal import say
from localcloud.access import LocalSession
from localcloud.environment import ROOT, build_target, host_architecture, host_runtime, isolated_environment
from localcloud.sagemaker.endpoints import serving_note
from localcloud.state import Running, StateFolder
from localcloud.steps import Steps, timed
from model_build.archive import own_image
from model_build.archive.container_images import OWN
from model_build.archive.manifest import FILE_NAME, Manifest
from model_build.archive.package import DEFAULT_MODEL
from model_build.archive.prepare import download
from model_build.archive.trusted_code import require_own_code
from model_build.data.extract import extract
from model_build.endpoint.aws import class_labels
from model_build.errors import CloudError

ENDPOINT_NAME: Final = "scones-vehicle-classifier"
STACK_NAME: Final = "scones"
MODEL_BUCKET: Final = "scones-models"

_INPUTS: Final = ("template.yaml", "samconfig.toml", "functions", "statemachine", "localcloud/application.py")
_ROLE_ARN: Final = "arn:aws:iam::000000000000:role/local-sagemaker"


def labels_of(model: Path) -> tuple[str, ...] | None:
    """Return the class labels in the manifest of a model folder or model.tar.gz, in the order of the answers.

    None if it has no manifest, which only a model with code of its own can do without. ModelBuildError if
    archive or manifest are damaged, UsageError if the labels cannot be a stack's ClassLabels.
    """
    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        folder = model
        if not model.is_dir():
            folder = Path(scratch)
            extract(model, folder)
        if not (folder / FILE_NAME).exists():
            return None
        labels = Manifest.read(folder, str(model)).labels
    class_labels(labels, str(model))
    return labels


def parameters(labels: Sequence[str] | None = None) -> dict[str, str]:
    """Return those of samconfig.toml's [local], what describes this machine, and ClassLabels if given."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    chosen = shlex.split(config["local"]["deploy"]["parameters"]["parameter_overrides"])
    return dict(pair.split("=", 1) for pair in chosen) | {
        "EndpointName": ENDPOINT_NAME,
        "PythonRuntime": host_runtime(),
        "Architecture": host_architecture(),
        **({"ClassLabels": ",".join(labels)} if labels else {}),
    }


def build_digest(root: Path = ROOT) -> str:
    """Return a hexadecimal digest of everything that decides what `sam build` makes."""
    digest = hashlib.sha256(f"{version('aws-sam-cli')} {host_runtime()} {host_architecture()}".encode())
    for name in _INPUTS:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"\0{path.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Application:
    """The application on one local cloud; without a model, the one that served last, or the shipped one.

    ForeignCodeError if the model has code that is not this project's, and it is not trusted.
    """

    def __init__(
        self, folder: StateFolder, steps: Steps, model: Path | None, *, trust_code: bool = False
    ) -> None:
        self._folder = folder
        self._steps = steps
        self._model = model.resolve() if model else None
        self._labels = labels_of(model) if model else None
        if model:
            require_own_code(model, trusted=trust_code, name=f"--model {model}")
        # What serves already was trusted when it was deployed.
        self._trust_code = ["--trust-code"] if trust_code or model is None else []
        self._built = folder.path / "sam-build" / "template.yaml"
        self._shipped = folder.path / "shipped-model"  # the URL of the archive that the shipped model became

    def build(self) -> None:
        """Run `sam build`, unless its inputs are those of the last time."""
        digest_file = self._folder.path / "sam-build.digest"
        digest = build_digest()
        if digest_file.exists() and digest_file.read_text() == digest:
            return
        digest_file.unlink(missing_ok=True)
        target = [f"PythonRuntime={host_runtime()}", f"Architecture={host_architecture()}"]
        with timed("functions built"):
            self._steps.run(
                "sam-build",
                [*_sam("build"), "--build-dir", str(self._built.parent), "--parameter-overrides", *target],
                isolated_environment(None) | build_target() | {"PYTHON": sys.executable},
                ROOT,
            )
        digest_file.write_text(digest)

    def deploy(self, running: Running) -> Running:
        """Deploy the stack and, beside it, the model; return the local cloud with both."""
        session = LocalSession(running)
        session.client("s3").create_bucket(Bucket=MODEL_BUCKET)
        provide_serving_image(session.client("ecr"))
        environment = isolated_environment(running)
        model = self._model or self._kept_model(session) or DEFAULT_MODEL
        chosen = parameters(self._labels if self._model else labels_of(model))
        self._steps.together(
            lambda: self._deploy_stack(environment, chosen), lambda: self._deploy_model(environment, model)
        )
        self._shipped.write_text(self._served_url() if model == DEFAULT_MODEL else "", encoding="utf-8")
        _remove_stale_archives(session)
        stack = _describe_stack(session, chosen)
        if topic := stack.get("outputs", {}).get("AlertTopicArn"):
            inbox = {"Protocol": "email", "Endpoint": self._folder.inbox.as_uri()}
            session.client("sns").subscribe(TopicArn=topic, **inbox)
        return replace(running, stack=stack, endpoint=ENDPOINT_NAME)

    def _kept_model(self, session: boto3.Session) -> Path | None:
        """Return the archive that served last; None if it was the shipped model's, or is gone."""
        url = self._served_url()
        if not url or (self._shipped.exists() and self._shipped.read_text(encoding="utf-8") == url):
            return None
        archive = self._folder.path / "kept-model" / "model.tar.gz"
        try:
            download(url, archive, session)
        except CloudError:  # erased meanwhile
            return None
        say(f"keeping the model that served last ({url}); `--model default` returns to the shipped one")
        return archive

    def _served_url(self) -> str:
        note = serving_note(self._folder.path / "sagemaker", ENDPOINT_NAME)
        return note.read_text(encoding="utf-8") if note.exists() else ""

    def _deploy_stack(self, environment: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        """Run `sam deploy`; parameters that are not named keep their values."""
        overrides = [f"{name}={json.dumps(value)}" for name, value in chosen.items()]
        template = ("--template-file", str(self._built), "--stack-name", STACK_NAME)
        command = [*_sam("deploy"), *template, "--parameter-overrides", *overrides]
        with timed("stack deployed"):
            self._steps.run("sam-deploy", command, environment, ROOT)

    def _deploy_model(self, environment: Mapping[str, str], model: Path) -> None:
        """Run `model_build deploy`, with data capture as on AWS."""
        command = [
            *(sys.executable, "-m", "model_build", "deploy", "--model", str(model)),
            *("--endpoint-name", ENDPOINT_NAME, "--role-arn", _ROLE_ARN),
            *("--bucket", MODEL_BUCKET, "--image", OWN, "--capture", *self._trust_code),
            *("--application", ""),  # `sam deploy` sets its labels
        ]
        with timed("model deployed"):
            self._steps.run("model-deploy", command, environment, ROOT)


def _sam(command: str) -> list[str]:
    """Return the beginning of a command line of the SAM CLI in this environment."""
    # The configuration is named: `sam` looks for it beside the template, and the built template is elsewhere.
    config = ("--config-file", str(ROOT / "samconfig.toml"), "--config-env", "local")
    return [str(Path(sys.executable).with_name("sam")), command, *config]


def provide_serving_image(ecr: Any, repository: str = own_image.REPOSITORY) -> None:
    """Put the project's serving image into the registry, as `model_build image push` does on AWS.

    A manifest without layers: the SageMaker emulator runs the model's code with this machine's Python.
    """
    with suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=repository)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": own_image.MANIFEST_TYPE, "layers": []})
    image = {"repositoryName": repository, "imageTag": own_image.tag("x86_64")}
    with suppress(ecr.exceptions.ImageAlreadyExistsException):  # of an earlier start
        ecr.put_image(**image, imageManifest=manifest)


def _remove_stale_archives(session: boto3.Session) -> None:
    """Delete the archives that no model uses: the SageMaker emulator forgets its models when it stops."""
    s3, sagemaker = session.client("s3"), session.client("sagemaker")
    pages = sagemaker.get_paginator("list_models").paginate()
    names = [model["ModelName"] for page in pages for model in page["Models"]]
    used = {sagemaker.describe_model(ModelName=name)["PrimaryContainer"]["ModelDataUrl"] for name in names}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=MODEL_BUCKET, Prefix="models/"):
        for key in (item["Key"] for item in page.get("Contents", [])):
            named_by_digest = re.fullmatch(r"models/[0-9a-f]{64}/model\.tar\.gz", key)
            if named_by_digest and f"s3://{MODEL_BUCKET}/{key}" not in used:
                s3.delete_object(Bucket=MODEL_BUCKET, Key=key)


def _describe_stack(session: boto3.Session, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Return name, outputs and parameters of the deployed stack."""
    stack = session.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    return {"name": STACK_NAME, "outputs": outputs, "parameters": dict(chosen)}
