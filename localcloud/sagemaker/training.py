"""Training jobs: the command of SageMaker's training container, run as a process of this machine.

A job is its container's entry point with its channels, configuration and hyperparameters in files, and with
/opt/ml as its folder (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html). A
process has no /opt/ml of its own, so wherever the job's command, its hyperparameters or the SDK's scripts say
/opt/ml, they get the job's folder instead. Images are not pulled; this machine's Python takes their place.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from commandline.polling import PollingTimeoutError, Rhythm, poll
from localcloud.sagemaker.container import LogShipper
from localcloud.sagemaker.resources import Resource, bucket_and_key, client, invalid

Json = dict[str, Any]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_CONTAINER_FOLDER = "/opt/ml"
_DRIVERS = "sm_drivers"
_LOOK_EVERY_S = 0.2
_LONGEST_RUN_S = 86_400  # what SageMaker assumes
_FAILURE_CHARACTERS = 1024  # what DescribeTrainingJob shows at most of the failure file
_TRAINING_VENV = Path(__file__).resolve().parents[2] / ".venv" / "train" / "bin" / "python"


class _Stopped(Exception):  # noqa: N818  # not an error: it was asked to stop, or its time is up
    """The job ends without a model; the message is its SecondaryStatus."""


class TrainingJob(Resource):
    """One job, from its creation on; its files in `folder` are removed when it ends, its log stays."""

    def __init__(self, name: str, arn: str, request: Json, folder: Path) -> None:
        super().__init__(name, arn, request)
        self.status, self.secondary_status = "InProgress", "Starting"
        self.modified = self.created
        self._facts: Json = {}
        self._transitions: list[Json] = []
        self._folder = folder / "training" / name
        self._log_file = folder / "logs" / f"training-{name}.log"
        self._stop_requested = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._enter("Starting")
        self._thread.start()

    def describe(self) -> Json:
        """Return the answer of DescribeTrainingJob."""
        shown = {key: value for key, value in self.request.items() if key != "Tags"}
        return shown | {
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary_status,
            "SecondaryStatusTransitions": self._transitions,
            "ModelArtifacts": {"S3ModelArtifacts": self._model_url()},
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            **self._facts,
        }

    def stop(self) -> None:
        """Begin to stop it, as StopTrainingJob does.

        Raises:
            ApiError: it has ended.
        """
        if self.status != "InProgress":
            raise invalid(f"The request was rejected because the training job is in status {self.status}.")
        self.status = "Stopping"
        self._stop_requested.set()

    def close(self) -> None:
        """End it now, and wait until its process is gone."""
        self._stop_requested.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._enter("Downloading")
            self._write_inputs()
            self._enter("Training")
            self._facts["TrainingStartTime"] = time.time()
            self._train()
            self._enter("Uploading")
            self._upload_model()
        except _Stopped as stopped:
            self._end("Stopped", str(stopped))
        except Exception as error:  # noqa: BLE001  # only the job fails, not the emulator
            self._facts["FailureReason"] = str(error)[:_FAILURE_CHARACTERS]
            self._end("Failed", "Failed")
        else:
            self._end("Completed", "Completed")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _enter(self, state: str) -> None:
        self.secondary_status, self.modified = state, time.time()
        if self._transitions:
            self._transitions[-1]["EndTime"] = self.modified
        self._transitions.append({"Status": state, "StartTime": self.modified})

    def _end(self, status: str, state: str) -> None:
        self._enter(state)
        now = self.modified
        seconds = round(now - self._facts["TrainingStartTime"]) if "TrainingStartTime" in self._facts else 0
        self._facts |= {
            "TrainingEndTime": now,
            "TrainingTimeInSeconds": max(1, seconds),
            "BillableTimeInSeconds": max(1, seconds),
        }
        self.status = status  # last: who waits for it finds all the facts

    # The container's files

    def _write_inputs(self) -> None:
        for name in ("input/config", "input/data", "model", "output/data"):
            (self._folder / name).mkdir(parents=True)
        channels = self.request.get("InputDataConfig", [])
        for channel in channels:
            self._download(channel)
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
        instance = self.request["ResourceConfig"].get("InstanceType", "local")
        files = {
            "hyperparameters.json": {
                k: self._here(v) for k, v in self.request.get("HyperParameters", {}).items()
            },
            "inputdataconfig.json": {c["ChannelName"]: {"TrainingInputMode": "File"} for c in channels},
            "resourceconfig.json": hosts
            | {
                "current_instance_type": instance,
                "current_group_name": "homogeneousCluster",
                "instance_groups": [
                    {
                        "instance_group_name": "homogeneousCluster",
                        "instance_type": instance,
                        "hosts": ["algo-1"],
                    }
                ],
            },
        }
        for name, content in files.items():
            (self._folder / "input" / "config" / name).write_text(json.dumps(content))

    def _download(self, channel: Json) -> None:
        url = channel["DataSource"]["S3DataSource"]["S3Uri"]
        bucket, prefix = bucket_and_key(url)
        target = self._folder / "input" / "data" / channel["ChannelName"]
        below = prefix.rstrip("/") + "/"
        found = 0
        try:
            pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below)
            for item in (item for page in pages for item in page.get("Contents", [])):
                file = target / item["Key"].removeprefix(below)
                if not file.resolve().is_relative_to(target.resolve()):
                    raise ValueError(f"ClientError: the key {item['Key']} leads out of its channel")
                self._check_stop()
                file.parent.mkdir(parents=True, exist_ok=True)
                client("s3").download_file(bucket, item["Key"], str(file))
                found += 1
        except (ClientError, BotoCoreError) as error:
            raise ValueError(f"ClientError: Data download failed: {url}: {error}") from error
        if not found:
            raise ValueError(f"ClientError: Data download failed: no objects found below {url}")
        if channel["ChannelName"] == _DRIVERS:
            self._adapt(target)

    def _adapt(self, scripts: Path) -> None:
        """Let the SDK's own scripts read and write the job's folder."""
        for file in scripts.rglob("*"):
            if file.is_file() and file.suffix in {".sh", ".py", ".json"}:
                file.write_text(self._here(file.read_text()))

    def _here(self, text: str) -> str:
        return text.replace(_CONTAINER_FOLDER, str(self._folder))

    # The container's process

    def _train(self) -> None:
        algorithm = self.request["AlgorithmSpecification"]
        command = [*algorithm.get("ContainerEntrypoint", []), *algorithm.get("ContainerArguments", [])]
        if not command:
            raise ValueError(
                "ClientError: this emulator pulls no images: the job needs a ContainerEntrypoint, "
                "as the SageMaker Python SDK's ModelTrainer gives it"
            )
        with self._log_file.open("ab") as log:
            process = subprocess.Popen(
                [self._here(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment(),
                start_new_session=True,
            )
        shipper = LogShipper(LOG_GROUP, f"{self.name}/algo-1-1", self._log_file)
        try:
            self._wait(process, shipper)
        finally:
            with contextlib.suppress(ProcessLookupError):  # what the script started ends with it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shipper.ship()
        if process.returncode:
            raise ValueError(f"AlgorithmError: {self._failure()}, exit code: {process.returncode}")

    def _wait(self, process: subprocess.Popen[bytes], shipper: LogShipper) -> None:
        def status() -> int | None:
            self._check_stop()
            shipper.ship()
            return process.poll()

        longest = self.request["StoppingCondition"].get("MaxRuntimeInSeconds", _LONGEST_RUN_S)
        rhythm = Rhythm(shortest_pause=_LOOK_EVERY_S, longest_pause=_LOOK_EVERY_S)
        try:
            poll(status, until=lambda code: code is not None, timeout_seconds=longest, rhythm=rhythm)
        except PollingTimeoutError:
            raise _Stopped("MaxRuntimeExceeded") from None

    def _check_stop(self) -> None:
        if self._stop_requested.is_set():
            raise _Stopped("Stopped")

    def _environment(self) -> dict[str, str]:
        # A container sees nothing of the host, except for the Python that runs instead of its image.
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
        path = f"{_python().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        given = {"TRAINING_JOB_NAME": self.name, "AWS_REGION": "us-east-1", "PYTHONUNBUFFERED": "1"}
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return {**kept, **pip, "PATH": path, **given, **self.request.get("Environment", {})}

    def _failure(self) -> str:
        file = self._folder / "output" / "failure"
        return file.read_text(errors="replace").strip() if file.is_file() else "the script failed"

    # The result

    def _model_url(self) -> str:
        return (
            f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output/model.tar.gz"
        )

    def _upload_model(self) -> None:
        archive = self._folder / "model.tar.gz"
        with tarfile.open(archive, "w:gz") as packed:
            for file in sorted((self._folder / "model").iterdir()):
                packed.add(file, file.name)
        bucket, key = bucket_and_key(self._model_url())
        client("s3").upload_file(str(archive), bucket, key)


def _python() -> Path:
    """Return the Python that runs instead of the training image: this one, or that of `make train`."""
    if importlib.util.find_spec("torch") is None and _TRAINING_VENV.exists():
        return _TRAINING_VENV
    return Path(sys.executable)
