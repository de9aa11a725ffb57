"""The README's way to a model in the cloud: `sam deploy` of role and bucket, then deploy, ask, delete."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from localcloud.environment import aws_variables
from model_build.artifact import own_image
from model_build.endpoint.delete import delete
from model_build.endpoint.deploy import DeployRequest, deploy
from tests.support.local_cloud import LocalCloud, bare_cloud
from tests.support.serving_image import provide_own_image
from tests.support.tiny_model import picture, write_model

ROOT = Path(__file__).resolve().parents[2]


def deploy_role(cloud: LocalCloud) -> dict[str, str]:
    """Run the README's command and return the stack's outputs."""
    command = ["sam", "deploy", "--template-file", "model_build/role.yaml", "--stack-name", "scones-model"]
    done = subprocess.run(
        [Path(sys.executable).with_name("sam"), *command[1:], "--capabilities", "CAPABILITY_IAM"],
        cwd=ROOT,
        env={**os.environ, **aws_variables(cloud.running), "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    stack = cloud.client("cloudformation").describe_stacks(StackName="scones-model")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_role_and_bucket_of_the_template_are_what_a_deployment_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bare_cloud(tmp_path / "cloud") as cloud:
        for name, value in aws_variables(cloud.running).items():
            monkeypatch.setenv(name, value)
        outputs = deploy_role(cloud)
        assert outputs["ServingRepositoryUri"].endswith(f"/{own_image.REPOSITORY}")
        provide_own_image(boto3.client("ecr"))
        request = DeployRequest(
            model=write_model(tmp_path / "model", ["red", "blue"]),
            endpoint_name="scones-vehicle-classifier",
            role_arn=outputs["RoleArn"],
            bucket=outputs["BucketName"],
            capture=True,
            image="own",
        )

        deploy(request, timeout_seconds=60)

        photo = io.BytesIO()
        Image.fromarray(picture("red")).save(photo, "JPEG")
        answer: Any = boto3.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=request.endpoint_name, Body=photo.getvalue(), ContentType="image/jpeg"
        )
        assert json.load(answer["Body"])[0] > 0.9
        assert len(delete(request.endpoint_name).models) == 1
