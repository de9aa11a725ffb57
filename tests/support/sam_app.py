"""Access for tests to the application's own files: functions, workflow, template, sample events."""

import copy
import functools
import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"
EVENTS = ROOT / "events"
FOLDERS = ("serialize_image", "classify_image", "filter_inference")
LOGICAL_IDS = {name: f"{name.title().replace('_', '')}Function" for name in FOLDERS}
CLOUD = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
CLOUD |= dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1")
CLOUD |= {"AWS_EC2_METADATA_DISABLED": "true"}
"""Variables of every Lambda environment: region and credentials."""


def load_function(folder: str, environment: Mapping[str, str] | None = None) -> SimpleNamespace:
    """Import a function's modules again, as a new Lambda environment does, perhaps with other variables.

    The functions have modules of the same names (`.app`, `.errors`, …), so none stays in `sys.modules`.
    """
    path = FUNCTIONS / folder
    names = [file.stem for file in path.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    variables = {**CLOUD, **(environment if environment is not None else function_environment(folder))}
    sys.path.insert(0, str(path))
    try:
        with patch.dict(os.environ, variables):
            return SimpleNamespace(**{name: importlib.import_module(name) for name in ("app", *names)})
    finally:
        sys.path.remove(str(path))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@functools.cache
def _template() -> dict[str, Any]:
    return cast("dict[str, Any]", yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8")))


def template() -> dict[str, Any]:
    """Return template.yaml with CloudFormation's short forms expanded (`{"Ref": …}`)."""
    return copy.deepcopy(_template())


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return the template's resources of one type, by logical name."""
    return {name: r for name, r in template()["Resources"].items() if r["Type"] == kind}


def parameter_default(name: str) -> str:
    """Return a parameter's default as CloudFormation passes it on: a string."""
    return str(_template()["Parameters"][name]["Default"])


def constant(group: str, name: str) -> int:
    """Return a constant of the template's mapping."""
    return int(_template()["Mappings"]["Constants"][group][name])


def function_environment(folder: str) -> dict[str, str]:
    """Return the environment variables of a function, with the parameters' defaults."""
    variables = _template()["Resources"][LOGICAL_IDS[folder]]["Properties"]["Environment"]["Variables"]
    return {name: _value(value) for name, value in variables.items()}


def _value(value: Any) -> str:
    match value:
        case {"Ref": name}:
            return parameter_default(name) if name in _template()["Parameters"] else str(name)
        case {"Fn::GetAtt": [name, _]}:
            return f"arn:aws:lambda:us-east-1:111122223333:function:{name}"
        case {"Fn::FindInMap": ["Constants", group, name]}:
            return str(constant(group, name))
    return str(value)


MACHINES = {"STANDARD": "ClassifyImageStateMachine", "EXPRESS": "ClassifyImageExpressStateMachine"}
"""The workflow's two state machines, by type."""


def substitutions(workflow_type: str = "STANDARD") -> dict[str, str]:
    """Return the substitutions of one of the two machines, with values as CloudFormation inserts them."""
    given = _template()["Resources"][MACHINES[workflow_type]]["Properties"]["DefinitionSubstitutions"]
    return {name: _value(value) for name, value in given.items()}


def definition_text() -> str:
    """Return the text of the workflow's definition before substitution."""
    return (ROOT / "statemachine" / "classify_image.asl.json").read_text(encoding="utf-8")


def definition(workflow_type: str = "STANDARD", **changed: str) -> dict[str, Any]:
    """Return the workflow's definition with its `substitutions` applied, some of them changed."""
    text = definition_text()
    for name, value in (substitutions(workflow_type) | changed).items():
        text = text.replace(f"${{{name}}}", value)
    return cast("dict[str, Any]", json.loads(text))


def event(name: str) -> dict[str, Any]:
    """Return a sample event: `event("serialize_image/bicycle.json")`."""
    return cast("dict[str, Any]", json.loads((EVENTS / name).read_text(encoding="utf-8")))


def expected(folder: str = "") -> dict[str, dict[str, Any]]:
    """Return the expected results of the events in one folder, or of all."""
    answers = json.loads((EVENTS / "expected.json").read_text(encoding="utf-8"))
    return {name: answer for name, answer in answers.items() if name.startswith(folder)}
