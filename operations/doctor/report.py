"""All checks of `operations doctor` in their order."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import boto3

from model_build.artifact.container_images import DEFAULT_SERVING_IMAGE, serving_image, training_image
from operations.checks import Check, NamedCheck, UnansweredError, run_checks, unknown, wrong
from operations.doctor import account, application, deployment
from operations.doctor.template import Template, TemplateError

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
    role_template = Template(ROOT / "model_build" / "role.yaml", region)
    try:
        template = Template(template_path, region, deployment.stack_parameters(stack))
        of_template = _template_checks(session, template, is_deployed=stack is not None)
    except TemplateError as error:
        broken = wrong(f"template {template_path.name}", str(error), f"correct {template_path}")
        of_template = [("template", lambda: [broken])]
    yield from run_checks(
        [
            ("identity", partial(account.identity, session)),
            ("region", partial(account.region, session)),
            ("stack", partial(deployment.stack_is_complete, stack, stack_name)),
            *_sagemaker_checks(session, region),
            *of_template,
            ("role.yaml", partial(application.template_is_valid, session, role_template.path)),
            ("policies of role.yaml", partial(application.policies_are_valid, session, role_template)),
        ]
    )


def _template_checks(session: boto3.Session, template: Template, *, is_deployed: bool) -> list[NamedCheck]:
    """Return the checks of the template, and of what its parameters name."""
    # What a deployed stack has reserved is no longer in the account's unreserved concurrency.
    wanted = template.parameters.get("FunctionConcurrency", "")
    functions = template.count("AWS::Serverless::Function")
    reserve = int(wanted) * functions if wanted.isdecimal() and not is_deployed else 0
    return [
        ("endpoint", partial(deployment.endpoint_fits, session, template.parameters)),
        ("Lambda concurrency", partial(account.lambda_concurrency, session, reserve)),
        ("template", partial(application.template_is_valid, session, template.path)),
        ("workflow definitions", partial(application.definitions_are_valid, session, template)),
        ("policies", partial(application.policies_are_valid, session, template)),
    ]


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
