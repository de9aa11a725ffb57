"""Starts a script-mode training job with the SageMaker Python SDK's ModelTrainer (v3).

Apart from sagemaker_training.py because everything here needs the SDK.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import (
    Compute,
    InputData,
    OutputDataConfig,
    SourceCode,
    StoppingCondition,
)
from sagemaker.train import ModelTrainer

from model_build.artifact.container_images import training_image

if TYPE_CHECKING:
    import boto3

    from model_build.cloud_training.request import TrainRequest

__all__ = ["start"]

SOURCE_DIR = Path(__file__).resolve().parents[1]
REQUIREMENTS = "training_requirements.txt"
JOB_NAME = "scones-training"
CHANNEL = "train"
# Where SageMaker puts the channel's files.
CHANNEL_FOLDER = f"/opt/ml/input/data/{CHANNEL}"


def start(request: TrainRequest, data_url: str, *, session: boto3.Session) -> str:
    """Uploads the code and starts the job.

    Args:
        request: what to train and how.
        data_url: the `s3://` prefix of the images, a folder per class.
        session: whose account and region.

    Returns:
        The job's name.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    trainer = ModelTrainer(
        training_image=training_image(request.image, str(session.region_name)),
        role=request.role_arn,
        base_job_name=JOB_NAME,
        input_s3_key_prefix="training/input",
        # The SDK tells AWS about each call unless it is asked not to.
        sagemaker_session=Session(
            boto_session=session,
            default_bucket=request.bucket,
            sagemaker_config={
                "SchemaVersion": "1.0",
                "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
            },
        ),
        source_code=SourceCode(
            source_dir=str(SOURCE_DIR),
            entry_script="train.py",
            requirements=REQUIREMENTS,
            ignore_patterns=["__pycache__", "default_model", "*.md", "role.yaml"],
        ),
        compute=Compute(
            instance_type=request.instance_type, instance_count=1, enable_managed_spot_training=request.spot
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=request.max_runtime_seconds,
            # With spare capacity the job may have to wait for it: as long again as it may run.
            **({"max_wait_time_in_seconds": 2 * request.max_runtime_seconds} if request.spot else {}),
        ),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{request.bucket}/training"),
        hyperparameters={
            "classes": request.classes,
            # The SDK adds channels of its own, for code: without this train.py would look for images in them.
            "data": CHANNEL_FOLDER,
            **request.hyperparameters,
        },
    )
    trainer.train(
        input_data_config=[InputData(channel_name=CHANNEL, data_source=data_url)], wait=False, logs=False
    )
    return str(trainer._latest_training_job.training_job_name)  # noqa: SLF001 - the SDK's documented way
