"""The account: who asks, where, and how much of what it may use."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

import boto3
from botocore.exceptions import ClientError

from operations.checks import Check, UnansweredError, ask, ok, unknown, wrong

# Lambda keeps this much concurrency for functions that reserve none
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
UNRESERVED_CONCURRENCY: Final = 100
QUOTA_CONSOLE: Final = "ask for more in the Service Quotas console (Amazon SageMaker)"


def identity(session: boto3.Session) -> Iterator[Check]:
    """Tell whose credentials are used."""
    try:
        answer = ask(session, "sts", "GetCallerIdentity")
    except (UnansweredError, ClientError) as error:
        yield wrong(
            "identity", str(error), "log in (`aws sso login`), or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
        )
        return
    yield ok("identity", f"{answer['Arn']} in account {answer['Account']}")


def region(session: boto3.Session) -> Iterator[Check]:
    """Tell which region is used, and by which setting."""
    source = next((name for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if os.environ.get(name)), "profile")
    yield ok("region", f"{session.region_name} (from {source})")


def lambda_concurrency(session: boto3.Session, reserve: int) -> Iterator[Check]:
    """Check that the account can reserve what the stack would ask for.

    Args:
        session: region and credentials.
        reserve: `FunctionConcurrency` times the number of functions; 0 if nothing new is reserved.
    """
    limits = ask(session, "lambda", "GetAccountSettings")["AccountLimit"]
    total, unreserved = int(limits["ConcurrentExecutions"]), int(limits["UnreservedConcurrentExecutions"])
    spare = max(0, unreserved - UNRESERVED_CONCURRENCY)
    found = f"{total:,} concurrent executions, {spare:,} of them can be reserved"
    if reserve > spare:
        yield wrong(
            "Lambda concurrency",
            f"{found}, and FunctionConcurrency would reserve {reserve:,}",
            "deploy with FunctionConcurrency=0, or ask for more 'Concurrent executions' in the Service "
            "Quotas console (AWS Lambda)",
        )
    else:
        yield ok("Lambda concurrency", found)


def sagemaker_quotas(
    session: boto3.Session, *, endpoint_type: str, training_type: str, serverless_concurrency: int
) -> Iterator[Check]:
    """Check the SageMaker quotas that deployments and training need.

    Args:
        session: region and credentials.
        endpoint_type: instance type of an endpoint.
        training_type: instance type of a training job.
        serverless_concurrency: what a serverless endpoint would take of the account's.
    """
    quotas = dict(_quotas(session))
    wanted = (
        (f"{endpoint_type} for endpoint usage", 1, "an endpoint on an instance cannot be created"),
        (f"{training_type} for training job usage", 1, "`train-cloud` cannot run"),
        (f"{training_type} for spot training job usage", 1, "`train-cloud --spot` cannot run"),
    )
    for name, least, consequence in wanted:
        yield _quota_check(name, quotas.get(name), least, consequence)
    serverless = next((name for name in quotas if _is_serverless_concurrency(name)), None)
    consequence = f"a serverless endpoint needs --serverless-concurrency below {serverless_concurrency}"
    value = quotas.get(serverless or "")
    yield _quota_check(serverless or "serverless concurrency", value, serverless_concurrency, consequence)


def _is_serverless_concurrency(name: str) -> bool:
    lower = name.lower()
    return "serverless" in lower and "concurrency" in lower and "provisioned" not in lower


def _quota_check(name: str, value: float | None, least: int, consequence: str) -> Check:
    title = f"quota: {name}"
    if value is None:
        return unknown(title, "Service Quotas does not list it")
    if value < least:
        return wrong(title, f"{value:g}, {least} needed: {consequence}", QUOTA_CONSOLE)
    return ok(title, f"{value:g}")


def _quotas(session: boto3.Session) -> Iterator[tuple[str, float]]:
    """Yield name and value of every SageMaker quota; an account's own values replace the defaults."""
    for operation in ("ListAWSDefaultServiceQuotas", "ListServiceQuotas"):
        token: Mapping[str, str] = {}
        while True:
            page = ask(session, "service-quotas", operation, ServiceCode="sagemaker", MaxResults=100, **token)
            yield from ((quota["QuotaName"], float(quota["Value"])) for quota in page.get("Quotas", []))
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
