"""What template.yaml gives the functions: the limits and sizes that the benchmarks measure with."""

from pathlib import Path
from typing import Any, Final

from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).resolve().parents[1]


def function_environments() -> dict[str, dict[str, str]]:
    """Return the environment variables of each function, by its folder, with the parameters' defaults."""
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    defaults = {name: str(parameter["Default"]) for name, parameter in template["Parameters"].items()}
    functions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    return {
        Path(function["CodeUri"]).name: {
            name: defaults[value["Ref"]] if isinstance(value, dict) else str(value)
            for name, value in function["Environment"]["Variables"].items()
        }
        for function in functions
    }
