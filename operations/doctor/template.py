"""A SAM template with its intrinsic functions resolved, as far as AWS's validators need it.

Resolved are Ref, Fn::GetAtt, Fn::Sub, Fn::If and Fn::Join, and the functions of conditions
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html). A
resource is named by its logical name in lower case.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]
from yaml import YAMLError

from commandline.errors import UsageError

ACCOUNT: Final = "111122223333"
_SERVICES: Final = {
    "AWS::Serverless::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Serverless::StateMachine": "states:{region}:{account}:stateMachine:{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::ECR::Repository": "ecr:{region}:{account}:repository/{name}",
}
_RESOURCE_POLICIES: Final = {
    "AWS::S3::BucketPolicy": "AWS::S3::Bucket",
    "AWS::SQS::QueuePolicy": None,
    "AWS::SNS::TopicPolicy": None,
}


class TemplateError(UsageError):
    """A template, or a part of it, cannot be read; the text says which and why."""


@dataclass(frozen=True)
class Policy:
    """One policy document of the template.

    Attributes:
        name: logical name of its resource, and the policy's own name.
        document: the policy, resolved.
        kind: `IDENTITY_POLICY` or `RESOURCE_POLICY`.
        resource_type: what a resource policy is attached to, where Access Analyzer knows it; else None.
    """

    name: str
    document: Mapping[str, Any]
    kind: str
    resource_type: str | None = None


class Template:
    """A template file with parameters and a place.

    Args:
        path: the template.
        region: where it would be deployed.
        parameters: values of parameters; all others have their defaults.

    Raises:
        UsageError: there is no such file.
        TemplateError: it is not a template.
    """

    def __init__(self, path: Path, region: str, parameters: Mapping[str, str] | None = None) -> None:
        if not path.is_file():
            raise UsageError(f"{path}: there is no such template; name it with --template")
        content = _read_yaml(path)
        if not isinstance(content, dict) or "Resources" not in content:
            raise TemplateError(f"{path}: not a CloudFormation template: it has no Resources")
        _check_sections(content, path)
        self.path = path
        self.region = region
        self._resources: Mapping[str, Any] = content["Resources"]
        self._conditions: Mapping[str, Any] = content.get("Conditions") or {}
        declared = content.get("Parameters") or {}
        defaults = {name: str(one.get("Default", "")) for name, one in declared.items()}
        self.parameters = {**defaults, **(parameters or {})}
        self._pseudo = {
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::AccountId": ACCOUNT,
            "AWS::StackName": "scones",
            "AWS::URLSuffix": "amazonaws.com",
        }

    # -------------------------------------------------------------------------------- what validators read

    def count(self, kind: str) -> int:
        """Return how many resources of a type, such as `AWS::Serverless::Function`, the template has."""
        return sum(resource["Type"] == kind for resource in self._resources.values())

    @property
    def resource_names(self) -> tuple[str, ...]:
        """Logical names of all resources."""
        return tuple(self._resources)

    @property
    def state_machines(self) -> tuple[str, ...]:
        """Logical names of the state machines."""
        kind = "AWS::Serverless::StateMachine"
        return tuple(name for name, resource in self._resources.items() if resource["Type"] == kind)

    def definitions(self) -> Iterator[tuple[str, str]]:
        """Yield logical name and definition of each state machine, with its substitutions in place."""
        for name in self.state_machines:
            yield name, self.definition(name)

    def definition(self, name: str) -> str:
        """Return a state machine's definition as JSON, with its substitutions in place.

        Raises:
            TemplateError: there is none, or it is not JSON.
        """
        properties = self._resources[name].get("Properties") or {}
        with self._reading(name):
            text = self._definition_text(properties)
            for key, value in (properties.get("DefinitionSubstitutions") or {}).items():
                text = text.replace(f"${{{key}}}", str(self.resolve(value)))
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TemplateError(f"the definition is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise TemplateError("the definition is not a JSON object")
        return text

    def _definition_text(self, properties: Mapping[str, Any]) -> str:
        if "Definition" in properties:
            return json.dumps(self.resolve(properties["Definition"]), default=str)
        uri = properties.get("DefinitionUri")
        if not isinstance(uri, str) or uri.startswith("s3://"):
            raise TemplateError("has no definition here: neither Definition nor a file as DefinitionUri")
        path = self.path.parent / uri
        if path.suffix in {".yaml", ".yml"}:
            return json.dumps(_read_yaml(path), default=str)
        return path.read_text(encoding="utf-8")

    def policies(self) -> Iterator[Policy]:
        """Yield every inline policy of a role, and every policy of a bucket, queue or topic."""
        for name in self._resources:
            yield from self.policies_of(name)

    def policies_of(self, name: str) -> list[Policy]:
        """Return the policies of a resource, or that it is.

        Raises:
            TemplateError: one cannot be resolved, or is not a policy.
        """
        with self._reading(name):
            return list(self._policies_of(name))

    def _policies_of(self, name: str) -> Iterator[Policy]:
        kind = self._resources[name]["Type"]
        properties = self._resources[name].get("Properties") or {}
        if kind == "AWS::IAM::Role":
            for policy in self.resolve(properties.get("Policies", [])):
                yield Policy(f"{name}/{policy['PolicyName']}", policy["PolicyDocument"], "IDENTITY_POLICY")
        elif kind in _RESOURCE_POLICIES:
            document = self.resolve(properties["PolicyDocument"])
            yield Policy(name, document, "RESOURCE_POLICY", _RESOURCE_POLICIES[kind])

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Tell of a part that is not as CloudFormation has it in one sentence."""
        try:
            yield
        except TemplateError:
            raise
        except OSError as error:
            raise TemplateError(f"{error.filename}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise TemplateError("its file is not UTF-8 text") from error
        except KeyError as error:
            raise TemplateError(f"{name} lacks {error}, or names it where there is none") from error
        except (IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise TemplateError(f"{name} is not as CloudFormation has it: {error}") from error

    # -------------------------------------------------------------------------------- intrinsic functions

    def resolve(self, value: Any) -> Any:
        """Return a value of the template with its intrinsic functions replaced, `AWS::NoValue` left out."""
        if isinstance(value, list):
            return [found for one in value if (found := self.resolve(one)) is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), *_ = value.items()
            if function in _FUNCTIONS:
                return _FUNCTIONS[function](self, argument)
        resolved = {key: self.resolve(one) for key, one in value.items()}
        return {key: one for key, one in resolved.items() if one is not _NO_VALUE}

    def ref(self, name: str) -> Any:
        """Return what `Ref` gives: a parameter's value, a pseudo parameter, or a resource's name."""
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self.parameters:
            return self.parameters[name]
        if name in self._pseudo:
            return self._pseudo[name]
        if name not in self._resources:
            raise TemplateError(f"!Ref {name} names neither a parameter nor a resource")
        if self._resources[name]["Type"] == "AWS::SNS::Topic":
            return self.attribute(name, "Arn")
        if self._resources[name]["Type"] == "AWS::SQS::Queue":
            return f"https://sqs.{self.region}.amazonaws.com/{ACCOUNT}/{name.lower()}"
        return name.lower()

    def attribute(self, name: str, attribute: str) -> str:
        """Return what `Fn::GetAtt` gives, for attributes that are ARNs."""
        # What is not in the template is what the SAM transform adds: the rule of a workflow's event.
        kind = self._resources[name]["Type"] if name in self._resources else "AWS::Events::Rule"
        pattern = _SERVICES.get(kind)
        if pattern is None or not attribute.endswith("Arn"):
            return f"{name}.{attribute}".lower()
        return "arn:aws:" + pattern.format(region=self.region, account=ACCOUNT, name=name.lower())

    def substitute(self, argument: Any) -> str:
        """Return what `Fn::Sub` gives."""
        text, values = argument if isinstance(argument, list) else (argument, {})

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name in values:
                return str(self.resolve(values[name]))
            logical_id, _, attribute = name.partition(".")
            return self.attribute(logical_id, attribute) if attribute else str(self.ref(name))

        return re.sub(r"\$\{([^!}]+)\}", value, text)

    def holds(self, condition: Any) -> bool:
        """Return whether a condition holds."""
        if isinstance(condition, str):
            return self.holds(self._conditions[condition])
        (function, argument), *_ = condition.items()
        if function == "Condition":
            return self.holds(argument)
        if function == "Fn::Equals":
            return str(self.resolve(argument[0])) == str(self.resolve(argument[1]))
        parts = [self.holds(one) for one in argument]
        return {"Fn::Not": not parts[0], "Fn::And": all(parts), "Fn::Or": any(parts)}[function]


def _read_yaml(path: Path) -> Any:
    try:
        return yaml_parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path}: not UTF-8 text") from error
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror}") from error
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        told = " ".join(str(error).split())[:300]
        raise TemplateError(f"{path}: not YAML: {told}") from error


def _check_sections(content: Mapping[str, Any], path: Path) -> None:
    for section in ("Resources", "Parameters", "Conditions"):
        found = content.get(section)
        if not isinstance(found, dict) and (section == "Resources" or found is not None):
            raise TemplateError(f"{path}: {section} is not a mapping of names")
    for name, parameter in (content.get("Parameters") or {}).items():
        if not isinstance(parameter, dict):
            raise TemplateError(f"{path}: the parameter {name} is not a mapping")
    for name, resource in content["Resources"].items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise TemplateError(f"{path}: the resource {name} has no Type")
        if not isinstance(resource.get("Properties") or {}, dict):
            raise TemplateError(f"{path}: the Properties of {name} are not a mapping")


_NO_VALUE: Final = object()
_FUNCTIONS: Final[Mapping[str, Any]] = {
    "Ref": Template.ref,
    "Fn::GetAtt": lambda template, argument: template.attribute(
        *(argument if isinstance(argument, list) else argument.split(".", 1))
    ),
    "Fn::Sub": Template.substitute,
    "Fn::If": lambda template, argument: template.resolve(argument[1 if template.holds(argument[0]) else 2]),
    "Fn::Join": lambda template, argument: argument[0].join(
        str(one) for one in template.resolve(argument[1])
    ),
}
