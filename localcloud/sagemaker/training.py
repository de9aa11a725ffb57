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
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.container import LogShipper
from localcloud.sagemaker.resources import Json, Resource, client, invalid
from operations.s3 import split_uri

_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
_CONTAINER_FOLDER: Final = "/opt/ml"
_DRIVERS: Final = "sm_drivers"  # the channel with the SDK's own scripts
_LOOK_EVERY_S: Final = 0.2
_LONGEST_RUN_S: Final = 86_400  # what SageMaker assumes
_FAILURE_CHARACTERS: Final = 1024  # what DescribeTrainingJob shows at most of the failure file
_TRAINING_PYTHON: Final = Path(__file__).resolve().parents[2] / ".venv" / "train" / "bin" / "python"


class _Stopped(Exception):  # noqa: N818  # not an error: it was asked to stop, or its time is up
    """The job ends without a model; the message is its SecondaryStatus."""


class TrainingJob(Resource):
    """One job, from its creation on; its files in `folder` are removed when it ends, its log stays."""

    prefix = "TrainingJob"
    kind = "training-job"

    def __init__(self, name: str, arn: str, request: Json, folder: Path) -> None:
        super().__init__(name, arn, request)
        self.status = "InProgress"
        self._facts: Json = {}
        self._transitions: list[Json] = []
        self._folder = folder / "training" / name
        self._log_file = folder / "logs" / f"training-{name}.log"
        output = request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        self._model_url = f"{output}/{name}/output/model.tar.gz"
        self._stop_requested = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._enter("Starting")
        self._thread.start()

    def describe(self) -> Json:
        """Return the answer of DescribeTrainingJob."""
        return {
            **super().describe(),
            **self.summary(),
            "SecondaryStatus": self._transitions[-1]["Status"],
            "SecondaryStatusTransitions": self._transitions,
            "ModelArtifacts": {"S3ModelArtifacts": self._model_url},
            **self._facts,
        }

    def stop(self) -> Json:
        """Begin to stop it, as StopTrainingJob does; ApiError if it has ended."""
        if self.status != "InProgress":
            raise invalid(f"The request was rejected because the training job is in status {self.status}.")
        self.status = "Stopping"
        self._stop_requested.set()
        return {}

    def close(self) -> None:
        """End it now, and wait until its process is gone."""
        self._stop_requested.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._enter("Downloading")
            self._write_inputs()
            self._enter("Training")
            self._facts["TrainingStartTime"] = self.modified
            self._train()
            self._enter("Uploading")
            archive = self._folder / "model.tar.gz"
            with tarfile.open(archive, "w:gz") as packed:
                for file in sorted((self._folder / "model").iterdir()):
                    packed.add(file, file.name)
            bucket, key = split_uri(self._model_url)
            client("s3").upload_file(str(archive), bucket, key)
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
        self.modified = time.time()
        if self._transitions:
            self._transitions[-1]["EndTime"] = self.modified
        self._transitions.append({"Status": state, "StartTime": self.modified})

    def _end(self, status: str, state: str) -> None:
        self._enter(state)
        seconds = max(1, round(self.modified - self._facts.get("TrainingStartTime", self.modified)))
        self._facts |= {
            "TrainingEndTime": self.modified,
            "TrainingTimeInSeconds": seconds,
            "BillableTimeInSeconds": seconds,
        }
        self.status = status  # last: who waits for it finds all the facts

    def _write_inputs(self) -> None:
        """Write the container's files below its folder."""
        for name in ("input/config", "input/data", "model", "output/data"):
            (self._folder / name).mkdir(parents=True)
        channels = self.request.get("InputDataConfig", [])
        for channel in channels:
            self._download(channel)
        instance = self.request["ResourceConfig"].get("InstanceType", "local")
        group = {"instance_group_name": "homogeneousCluster", "instance_type": instance, "hosts": ["algo-1"]}
        given = self.request.get("HyperParameters", {})
        files: Json = {
            "hyperparameters.json": {name: self._here(value) for name, value in given.items()},
            "inputdataconfig.json": {one["ChannelName"]: {"TrainingInputMode": "File"} for one in channels},
            "resourceconfig.json": {
                "current_host": "algo-1",
                "hosts": ["algo-1"],
                "network_interface_name": "eth0",
                "current_instance_type": instance,
                "current_group_name": "homogeneousCluster",
                "instance_groups": [group],
            },
        }
        for name, content in files.items():
            (self._folder / "input" / "config" / name).write_text(json.dumps(content))

    def _download(self, channel: Json) -> None:
        url = channel["DataSource"]["S3DataSource"]["S3Uri"]
        bucket, prefix = split_uri(url)
        target = self._folder / "input" / "data" / channel["ChannelName"]
        below = prefix.rstrip("/") + "/"
        found = 0
        try:
            pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below)
            for key in (item["Key"] for page in pages for item in page.get("Contents", [])):
                file = target / key.removeprefix(below)
                if not file.resolve().is_relative_to(target.resolve()):
                    raise ValueError(f"ClientError: the key {key} leads out of its channel")
                self._check_stop()
                file.parent.mkdir(parents=True, exist_ok=True)
                client("s3").download_file(bucket, key, str(file))
                if channel["ChannelName"] == _DRIVERS and file.suffix in {".sh", ".py", ".json"}:
                    file.write_text(self._here(file.read_text()))
                found += 1
        except (ClientError, BotoCoreError) as error:
            raise ValueError(f"ClientError: Data download failed: {url}: {error}") from error
        if not found:
            raise ValueError(f"ClientError: Data download failed: no objects found below {url}")

    def _here(self, text: str) -> str:
        return text.replace(_CONTAINER_FOLDER, str(self._folder))

    def _train(self) -> None:
        """Run the container's command to its end."""
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
        shipper = LogShipper(_LOG_GROUP, f"{self.name}/algo-1-1", self._log_file)
        limits = self.request["StoppingCondition"]
        end = time.monotonic() + limits.get("MaxRuntimeInSeconds", _LONGEST_RUN_S)
        try:
            while process.poll() is None:
                if time.monotonic() >= end:
                    raise _Stopped("MaxRuntimeExceeded")
                self._check_stop()
                shipper.ship()
                time.sleep(_LOOK_EVERY_S)
        finally:
            with contextlib.suppress(ProcessLookupError):  # what the script started ends with it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shipper.ship()
        if process.returncode:
            file = self._folder / "output" / "failure"
            why = file.read_text(errors="replace").strip() if file.is_file() else "the script failed"
            raise ValueError(f"AlgorithmError: {why}, exit code: {process.returncode}")

    def _check_stop(self) -> None:
        if self._stop_requested.is_set():
            raise _Stopped("Stopped")

    def _environment(self) -> dict[str, str]:
        """Return what a container sees: nothing of the host but the Python that runs instead of its image."""
        other = importlib.util.find_spec("torch") is None and _TRAINING_PYTHON.exists()
        python = _TRAINING_PYTHON if other else Path(sys.executable)
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
        kept |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        kept["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        given = {"TRAINING_JOB_NAME": self.name, "AWS_REGION": "us-east-1", "PYTHONUNBUFFERED": "1"}
        return {**kept, **given, **self.request.get("Environment", {})}
