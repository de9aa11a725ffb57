"""The application's own files: template, workflow definitions and policies as AWS validates them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from operations.checks import Check, ask, ok, wrong
from operations.doctor.template import Template, TemplateError

WORKFLOW_TYPES: Final = ("STANDARD", "EXPRESS")
TEMPLATE_BYTES: Final = 51_200  # the limit of ValidateTemplate for a body that is not in S3


def template_is_valid(session: boto3.Session, path: Path) -> Iterator[Check]:
    """Ask CloudFormation whether a template is valid.

    Args:
        session: region and credentials.
        path: the template; as JSON without spaces it has at most 51,200 bytes.
    """
    name = f"template {path.name}"
    body = path.read_text(encoding="utf-8")
    if len(body.encode()) > TEMPLATE_BYTES:  # comments are a quarter of it
        body = json.dumps(yaml_parse(body), separators=(",", ":"), default=str)
    if len(body.encode()) > TEMPLATE_BYTES:
        yield wrong(
            name,
            f"has {len(body.encode()):,} bytes as JSON",
            f"keep it below {TEMPLATE_BYTES:,} to validate it",
        )
        return
    try:
        answer = ask(session, "cloudformation", "ValidateTemplate", TemplateBody=body)
    except ClientError as error:
        yield wrong(name, str(error.response["Error"]["Message"]), f"correct {path}")
        return
    capabilities = ", ".join(answer.get("Capabilities", [])) or "none"
    yield ok(name, f"valid; needs {capabilities}")


def definitions_are_valid(session: boto3.Session, template: Template) -> Iterator[Check]:
    """Ask Step Functions whether each workflow definition is valid as STANDARD and as EXPRESS.

    Args:
        session: region and credentials.
        template: the template that names the definitions.
    """
    for logical_id in template.state_machines:
        try:
            definition = template.definition(logical_id)
        except TemplateError as error:
            yield wrong(logical_id, str(error), f"correct it in {template.path} or in the file that it names")
            continue
        distributed = '"DISTRIBUTED"' in definition
        for kind in WORKFLOW_TYPES[: 1 if distributed else 2]:  # an Express workflow has no Distributed Map
            name = f"{logical_id} as {kind}"
            answer = ask(
                session, "stepfunctions", "ValidateStateMachineDefinition", definition=definition, type=kind
            )
            problems = [item for item in answer.get("diagnostics", []) if item["severity"] == "ERROR"]
            if answer["result"] == "OK" and not problems:
                yield ok(name, "the definition is valid")
            else:
                told = "; ".join(f"{item.get('location', '')} {item['message']}".strip() for item in problems)
                yield wrong(name, told or "the definition is not valid", "correct it in statemachine/")


def policies_are_valid(session: boto3.Session, template: Template) -> Iterator[Check]:
    """Ask IAM Access Analyzer whether the template's policies are valid and grant no more than they say.

    Args:
        session: region and credentials.
        template: the template with the policies.
    """
    for name in template.resource_names:
        try:
            policies = template.policies_of(name)
        except TemplateError as error:
            yield wrong(f"policy {name}", str(error), f"correct it in {template.path}")
            continue
        for policy in policies:
            answer = ask(
                session,
                "accessanalyzer",
                "ValidatePolicy",
                policyDocument=json.dumps(policy.document, default=str),
                policyType=policy.kind,
                **({"validatePolicyResourceType": policy.resource_type} if policy.resource_type else {}),
            )
            yield _policy_check(f"policy {policy.name}", answer.get("findings", []))


def _policy_check(name: str, findings: Iterable[dict[str, Any]]) -> Check:
    serious = [item for item in findings if item["findingType"] in {"ERROR", "SECURITY_WARNING"}]
    if serious:
        told = "; ".join(f"{item['issueCode']}: {item['findingDetails']}" for item in serious)
        return wrong(name, told, str(serious[0].get("learnMoreLink", "correct the policy in the template")))
    remarks = sum(1 for _ in findings)
    return ok(name, f"no errors, {remarks} suggestions" if remarks else "no findings")
