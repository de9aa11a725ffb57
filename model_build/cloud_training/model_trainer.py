"""Start a script-mode training job with the SageMaker Python SDK's ModelTrainer (v3).

A module of its own because it needs the SDK, which is not in every environment and takes seconds to import.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import (
    Compute,
    InputData,
    OutputDataConfig,
    SourceCode,
    StoppingCondition,
)
from sagemaker.train import ModelTrainer

from model_build.archive.container_images import training_image
from model_build.cloud_training.job import TrainRequest
from model_build.cloud_training.upload import copy_source

COMMAND: Final = "python3 -m model_build.train"
REQUIREMENTS: Final = "model_build/training_requirements.txt"
CHANNEL: Final = "train"
CHANNEL_FOLDER: Final = f"/opt/ml/input/data/{CHANNEL}"  # where SageMaker puts the channel's files


def start(request: TrainRequest, job_name: str, data_url: str, *, session: boto3.Session) -> str:
    """Upload the code and start the job.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    # The SDK refuses roles without rights on the account's networks, which a job outside a VPC never uses.
    # Only this variable turns that off.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    with tempfile.TemporaryDirectory(prefix="training-source-") as folder:
        source = copy_source(Path(folder))
        trainer = _trainer(request, job_name, source, session)
        data = InputData(channel_name=CHANNEL, data_source=data_url)
        trainer.train(input_data_config=[data], wait=False, logs=False)
    return str(trainer._latest_training_job.training_job_name)  # noqa: SLF001 - the SDK's documented way


def _trainer(request: TrainRequest, job_name: str, source: Path, session: boto3.Session) -> ModelTrainer:
    seconds = request.max_runtime_seconds
    # The job may wait for spare capacity as long again as it may run.
    wait = {"max_wait_time_in_seconds": 2 * seconds} if request.spot else {}
    return ModelTrainer(
        training_image=training_image(request.image, str(session.region_name)),
        role=request.role_arn,
        base_job_name=job_name,
        input_s3_key_prefix="training/input",
        sagemaker_session=_sdk_session(request.bucket, session),
        source_code=SourceCode(source_dir=str(source), command=COMMAND, requirements=REQUIREMENTS),
        compute=Compute(
            instance_type=request.instance_type, instance_count=1, enable_managed_spot_training=request.spot
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=seconds, **wait),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{request.bucket}/training"),
        # The SDK adds channels of its own, for code: without `data`, training would look for images in them.
        hyperparameters={"data": CHANNEL_FOLDER, **request.hyperparameters()},
    )


def _sdk_session(bucket: str, session: boto3.Session) -> Session:
    """Return the SDK's session, without the telemetry that it sends by default."""
    return Session(
        boto_session=session,
        default_bucket=bucket,
        sagemaker_config={
            "SchemaVersion": "1.0",
            "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
        },
    )
