"""All checks of `scones doctor`: the account, and what is deployed in it. None of them changes anything."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from commandline.program import ROOT
from model_build.archive.container_images import RAY, serving_image, training_image
from model_build.endpoint.found import LABELS_TAG
from operations.checks import Check, UnansweredError, ask, ok, run_checks, unknown, wrong
from operations.proofs import Proofs
from operations.results import ResultsTable
from operations.review.queue import ReviewQueue
from operations.stack import Stack
from operations.status import Situation

ENDPOINT_INSTANCE: Final = "ml.m5.large"
TRAINING_INSTANCE: Final = "ml.c5.xlarge"
SERVERLESS_CONCURRENCY: Final = 5
LONGEST_STACK_NAME: Final = 80 - len("-classify-batch")  # Step Functions: 80 characters for a workflow's name
# Lambda keeps this much concurrency for functions that reserve none
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
UNRESERVED_CONCURRENCY: Final = 100
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
LOG_POLICIES: Final = 10
REVIEWABLE: Final = timedelta(days=13)  # SQS keeps a message for 14
_QUOTA_CONSOLE: Final = "ask for more in the Service Quotas console (Amazon SageMaker)"


@cache
def _template() -> dict[str, Any]:
    """Return this checkout's template."""
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return template


def look_up(name: str, session: boto3.Session) -> Stack:
    """Return a stack as it is deployed, or else with the template's defaults, no status and no outputs."""
    defaults = {key: str(one["Default"]) for key, one in _template()["Parameters"].items()}
    try:
        stack = Stack.described(ask(session, "cloudformation", "DescribeStacks", StackName=name), session)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return Stack(name, {}, session, defaults)
    return replace(stack, parameters=defaults | dict(stack.parameters))


def examine(session: boto3.Session, stack_name: str) -> Iterator[Check]:
    """Make every check of an account and of a stack, which need not exist yet."""
    if session.region_name is None:
        yield wrong("region", "none is configured", "set AWS_REGION, or name one with --region")
        return
    of_account = (identity, region, sagemaker_quotas, images)
    yield from run_checks(*(partial(check, session) for check in of_account))
    try:
        stack = look_up(stack_name, session)
    except (UnansweredError, ClientError) as error:
        yield unknown(f"stack {stack_name}", str(error))
        return
    of_stack = (stack_is_complete, endpoint_fits, lambda_concurrency, log_policies)
    yield from run_checks(*(partial(check, stack) for check in of_stack))
    if stack.outputs:
        proofs, deployed = Proofs(stack), (doubtful_photos_wait, records_are_of_the_bucket)
        yield from run_checks(Situation(stack).rules, *(partial(check, stack) for check in deployed))
        yield from run_checks(
            proofs.event_patterns, proofs.metric_filters, proofs.workflow_states, proofs.role_policies
        )


# ------------------------------------------------------------------ the account


def identity(session: boto3.Session) -> Iterator[Check]:
    """Show whose credentials are used."""
    try:
        answer = ask(session, "sts", "GetCallerIdentity")
    except (UnansweredError, ClientError) as error:
        yield wrong("identity", str(error), "log in (`aws sso login`), or set AWS_PROFILE")
    else:
        yield ok("identity", f"{answer['Arn']} in account {answer['Account']}")


def region(session: boto3.Session) -> Iterator[Check]:
    """Show which region is used, and by which setting."""
    source = next((name for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if os.environ.get(name)), "profile")
    yield ok("region", f"{session.region_name} (from {source})")


def sagemaker_quotas(session: boto3.Session) -> Iterator[Check]:
    """Check the quotas that deployments and training need; the account's own replace the defaults."""
    quotas: dict[str, float] = {}
    for operation in ("ListAWSDefaultServiceQuotas", "ListServiceQuotas"):
        token: dict[str, str] | None = {}
        while token is not None:
            page = ask(session, "service-quotas", operation, ServiceCode="sagemaker", MaxResults=100, **token)
            quotas |= {quota["QuotaName"]: quota["Value"] for quota in page.get("Quotas", [])}
            token = {"NextToken": page["NextToken"]} if page.get("NextToken") else None
    kinds = {"serverless", "concurrency", "provisioned"}
    serverless = (name for name in quotas if kinds & {*name.lower().split()} == {"serverless", "concurrency"})
    for name, least, consequence in (
        (f"{ENDPOINT_INSTANCE} for endpoint usage", 1, "an endpoint on an instance cannot be created"),
        (f"{TRAINING_INSTANCE} for training job usage", 1, "`train-cloud` cannot run"),
        (f"{TRAINING_INSTANCE} for spot training job usage", 1, "`train-cloud --spot` cannot run"),
        (
            next(serverless, "serverless concurrency"),
            SERVERLESS_CONCURRENCY,
            f"a serverless endpoint needs --serverless-concurrency below {SERVERLESS_CONCURRENCY}",
        ),
    ):
        title, value = f"quota: {name}", quotas.get(name)
        if value is None:
            yield unknown(title, "Service Quotas does not list it")
        elif value < least:
            yield wrong(title, f"{value:g}, {least} needed: {consequence}", _QUOTA_CONSOLE)
        else:
            yield ok(title, f"{value:g}")


def images(session: boto3.Session) -> Iterator[Check]:
    """Ask the registries whether the default images' tags exist."""
    serving, _ = serving_image(RAY, session.region_name)
    for name, uri in (("serving", serving), ("training", training_image(None, session.region_name))):
        registry, _, image = uri.partition("/")  # <account>.dkr.ecr.<region>.<suffix>/<repository>:<tag>
        repository, _, tag = image.partition(":")
        wanted = {"registryId": registry.partition(".")[0], "repositoryName": repository}
        try:
            answer = ask(session, "ecr", "BatchGetImage", **wanted, imageIds=[{"imageTag": tag}])
        except (UnansweredError, ClientError) as error:
            yield unknown(f"{name} image", str(error))
            continue
        reason = "; ".join(one.get("failureReason", "") for one in answer.get("failures", []))
        advice = "name another with --image when you deploy or train"
        missing = wrong(f"{name} image", f"{uri} does not exist ({reason})", advice)
        yield ok(f"{name} image", uri) if answer.get("images") else missing


# ------------------------------------------------------------------ the stack, deployed or not


def stack_is_complete(stack: Stack) -> Iterator[Check]:
    """Check the stack's name, and that its last deployment succeeded."""
    name, status, title = stack.name, stack.status, f"stack {stack.name}"
    if len(name) > LONGEST_STACK_NAME:
        yield wrong(title, f"has {len(name)} characters", f"name it with {LONGEST_STACK_NAME} at most")
    elif not status:
        yield ok(title, "does not exist yet: `sam build && sam deploy --guided` creates it")
    elif status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        yield ok(title, status)
    elif status == "ROLLBACK_COMPLETE":
        yield wrong(title, status, f"the first deployment failed: `sam delete --stack-name {name}`")
    else:
        yield wrong(title, status, "see the stack's events in CloudFormation, then deploy again")


def endpoint_fits(stack: Stack) -> Iterator[Check]:
    """Check that the endpoint is in service and answers with the labels that the stack expects."""
    name, expected = stack.parameters["EndpointName"], stack.parameters["ClassLabels"]
    title = f"endpoint {name}"
    try:
        endpoint = ask(stack.session, "sagemaker", "DescribeEndpoint", EndpointName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"ValidationException", "ResourceNotFound"}:
            raise
        yield wrong(title, "does not exist", f"create it: `scones model deploy --endpoint-name {name}`")
        return
    status = endpoint["EndpointStatus"]
    if status != "InService":
        reason = endpoint.get("FailureReason") or "it is not in service"
        yield wrong(title, f"{status}: {reason}", "see `scones model status`; deploy the model again")
        return
    yield ok(title, f"in service with {endpoint['EndpointConfigName']}")
    tags = ask(stack.session, "sagemaker", "ListTags", ResourceArn=endpoint["EndpointArn"]).get("Tags", [])
    labels = next((tag["Value"].replace(" ", ",") for tag in tags if tag["Key"] == LABELS_TAG), None)
    if labels is None:
        yield unknown("class labels", f"the endpoint has no tag {LABELS_TAG}: another tool deployed it")
    elif labels == expected:
        yield ok("class labels", expected)
    else:
        found = f"the endpoint answers for {labels}, the stack expects {expected}"
        yield wrong("class labels", found, f"deploy the stack with ClassLabels={labels}, or another model")


def lambda_concurrency(stack: Stack) -> Iterator[Check]:
    """Check that the account can reserve what the stack would ask for; a deployed one has it already."""
    limits = ask(stack.session, "lambda", "GetAccountSettings")["AccountLimit"]
    spare = max(0, int(limits["UnreservedConcurrentExecutions"]) - UNRESERVED_CONCURRENCY)
    types = [resource["Type"] for resource in _template()["Resources"].values()]
    reserve = int(stack.parameters["FunctionConcurrency"]) * types.count("AWS::Serverless::Function")
    total = int(limits["ConcurrentExecutions"])
    title, found = "Lambda concurrency", f"{total:,} concurrent executions, {spare:,} of them can be reserved"
    if stack.status or reserve <= spare:
        yield ok(title, found)
    else:
        yield wrong(
            title,
            f"{found}, and FunctionConcurrency would reserve {reserve:,}",
            "deploy with FunctionConcurrency=0, or ask for more 'Concurrent executions' in the Service "
            "Quotas console (AWS Lambda)",
        )


def log_policies(stack: Stack) -> Iterator[Check]:
    """Check that EventBridge may write outcomes to their log group: an account has ten such policies."""
    title = "log resource policies"
    answer = ask(stack.session, "logs", "DescribeResourcePolicies", limit=50)
    names = {one["policyName"] for one in answer.get("resourcePolicies", [])}
    if stack.status and f"{stack.name}-outcomes" not in names:
        lost = "no outcome reaches its log group and the alarms"
        yield wrong(title, f"{stack.name}-outcomes is missing: {lost}", "deploy the stack again")
    elif not stack.status and len(names) >= LOG_POLICIES:
        found = f"{len(names)} of {LOG_POLICIES} that this region can have: the stack cannot add its own"
        yield wrong(title, found, "delete one that nobody needs (`aws logs describe-resource-policies`)")
    else:
        yield ok(title, f"{len(names)} of {LOG_POLICIES}")


# ------------------------------------------------------------------ the deployed stack


def doubtful_photos_wait(stack: Stack) -> Iterator[Check]:
    """Compare the doubtful records with the review queue."""
    messages = ReviewQueue(stack).length()
    records = ResultsTable(stack).count("LOW_CONFIDENCE", datetime.now(UTC) - REVIEWABLE)
    found = f"{records:,} LOW_CONFIDENCE records of {REVIEWABLE.days} days, {messages:,} messages"
    again = "`scones redrive --reviews` brings the others back to review, if they have waited for some "
    again += "minutes; those of a quiet batch were never sent there"
    yield wrong("review queue", found, again) if messages < records else ok("review queue", found)


def records_are_of_the_bucket(stack: Stack) -> Iterator[Check]:
    """Look for records of another bucket, left by a change of `BucketName`, in one page of the table."""
    bucket = stack.outputs["PhotoBucketName"]
    request = {
        "TableName": stack.outputs["ResultsTableName"],
        "ProjectionExpression": "object_uri",
        "FilterExpression": "begins_with(object_uri, :s3) AND NOT begins_with(object_uri, :bucket)",
        "ExpressionAttributeValues": {":s3": {"S": "s3://"}, ":bucket": {"S": f"s3://{bucket}/"}},
    }
    page = ask(stack.session, "dynamodb", "Scan", **request)
    others = ", ".join(sorted({one["object_uri"]["S"].split("/")[2] for one in page["Items"]}))
    if others:
        found = f"records name photos in {others}, the stack's bucket is {bucket}"
        replaced = "a change of BucketName replaced the bucket: copy the photos that are still needed to it"
        yield wrong("photo bucket", found, replaced)
    else:
        yield ok("photo bucket", bucket)
