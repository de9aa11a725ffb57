"""What template.yaml gives the functions: the limits and sizes that the benchmarks measure with."""

import re
from pathlib import Path
from typing import Any, Final

from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).resolve().parents[1]


def function_environments() -> dict[str, dict[str, str]]:
    """Return the environment variables of each function, by its folder, with the parameters' defaults."""
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    defaults: dict[str, str] = {
        name: str(parameter["Default"]) for name, parameter in template["Parameters"].items()
    }
    functions = {
        _folder(logical_id): resource["Properties"]
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }

    def resolved(value: Any) -> str:
        match value:
            case {"Ref": name}:
                return defaults.get(name, str(name))
            case {"Fn::FindInMap": [mapping, group, name]}:
                return str(template["Mappings"][mapping][group][name])
        return str(value)

    return {
        folder: {name: resolved(value) for name, value in function["Environment"]["Variables"].items()}
        for folder, function in functions.items()
    }


def _folder(logical_id: str) -> str:
    """Return a function's folder: `classify_image` of `ClassifyImageFunction`."""
    words = re.findall(r"[A-Z][a-z]+", logical_id.removesuffix("Function"))
    return "_".join(words).lower()
