"""Deploying and deleting from Python, as the commands do it."""

from types import SimpleNamespace

import boto3

from model_build.archive.container_images import known_image
from model_build.commands.endpoint import facts
from model_build.endpoint import deploy as room
from model_build.endpoint.aws import given_stack
from model_build.endpoint.deploy import NO_APPLICATION, DeployResult
from model_build.endpoint.found import look
from model_build.endpoint.steps import Wanted

BUCKET = "scones-models"
ROLE = "arn:aws:iam::000000000000:role/scones-model"
TIMEOUT_S = 60.0


def deploy(wanted: Wanted, *, role: str = ROLE, bucket: str = BUCKET) -> DeployResult:
    """Deploy with a role and a bucket, and our own image from the account's usual repository."""
    session = boto3.Session()
    stack, image = given_stack(role, bucket, str(session.region_name)), known_image(wanted.image)
    with room.ready_archive(wanted.model, image, session, trust_code=wanted.trust_code) as archive:
        return room.plan(wanted, stack, archive, session, NO_APPLICATION).carry_out(session, TIMEOUT_S)


def delete(name: str) -> None:
    """Delete an endpoint, and keep its logs."""
    session = boto3.Session()
    room.delete(look(session, name), session, TIMEOUT_S)


def status(name: str) -> SimpleNamespace:
    """Return what `status --json` prints."""
    return SimpleNamespace(**facts(look(boto3.Session(), name)))
