"""All checks of `operations doctor` in their order."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import boto3

from model_build.artifact.container_images import DEFAULT_SERVING_IMAGE, serving_image, training_image
from operations.checks import Check, NamedCheck, UnansweredError, run_checks, unknown, wrong
from operations.doctor import account, application, deployment
from operations.doctor.template import Template

ROOT: Final = Path(__file__).resolve().parents[2]
ENDPOINT_INSTANCE: Final = "ml.m5.large"
TRAINING_INSTANCE: Final = "ml.c5.xlarge"
SERVERLESS_CONCURRENCY: Final = 5


def examine(session: boto3.Session, stack_name: str, template_path: Path) -> Iterator[Check]:
    """Make every check; none of them changes anything.

    Args:
        session: region and credentials.
        stack_name: the stack, which need not exist yet.
        template_path: the application's template.

    Yields:
        What each check found.

    Raises:
        UsageError: there is no such template.
    """
    if session.region_name is None:
        yield wrong("region", "none is configured", "set AWS_REGION, or name one with --region")
        return
    try:
        stack = deployment.find_stack(session, stack_name)
    except UnansweredError as error:
        stack = None
        yield unknown(f"stack {stack_name}", str(error))
    region = session.region_name
    template = Template(template_path, region, deployment.stack_parameters(stack))
    role_template = Template(ROOT / "model_build" / "role.yaml", region)
    # What a deployed stack has reserved is no longer in the account's unreserved concurrency.
    functions = template.count("AWS::Serverless::Function")
    reserve = 0 if stack else int(template.parameters["FunctionConcurrency"]) * functions
    yield from run_checks(
        [
            ("identity", partial(account.identity, session)),
            ("region", partial(account.region, session)),
            ("stack", partial(deployment.stack_is_complete, stack, stack_name)),
            ("endpoint", partial(deployment.endpoint_fits, session, template.parameters)),
            ("Lambda concurrency", partial(account.lambda_concurrency, session, reserve)),
            *_sagemaker_checks(session, region),
            ("template", partial(application.template_is_valid, session, template_path)),
            ("role.yaml", partial(application.template_is_valid, session, role_template.path)),
            ("workflow definitions", partial(application.definitions_are_valid, session, template)),
            ("policies", partial(application.policies_are_valid, session, template)),
            ("policies of role.yaml", partial(application.policies_are_valid, session, role_template)),
        ]
    )


def _sagemaker_checks(session: boto3.Session, region: str) -> list[NamedCheck]:
    """Return the checks of quotas and container images."""
    quotas = partial(
        account.sagemaker_quotas,
        session,
        endpoint_type=ENDPOINT_INSTANCE,
        training_type=TRAINING_INSTANCE,
        serverless_concurrency=SERVERLESS_CONCURRENCY,
    )
    serving, _ = serving_image(DEFAULT_SERVING_IMAGE, region)
    training = training_image(None, region)
    return [
        ("SageMaker quotas", quotas),
        ("serving image", partial(deployment.image_exists, session, "serving", serving)),
        ("training image", partial(deployment.image_exists, session, "training", training)),
    ]
