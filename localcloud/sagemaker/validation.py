"""Check requests against botocore's own description of a service.

The client side of boto3 checks names and types only; required members, patterns, lengths, ranges and enums
are checked by the service. A request that only a lenient emulator accepts would fail in the real deployment.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from localcloud.sagemaker.resources import ApiError, invalid

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}

_DIALECT = (
    (r"\p{L}", r"\w"),
    (r"\p{Z}", r"\s"),
    (r"\p{N}", r"\d"),
    (r"\p{Alnum}", r"a-zA-Z0-9"),  # stands within brackets
    (r"\p{Print}", r"[ -~]"),
    # Surrogate pairs, which Python's strings do not have.
    (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"),
)


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service such as `sagemaker`; loading it takes half a second, once."""
    return botocore.session.get_session().get_service_model(service)


def check_request(service: str, operation: str, params: dict[str, Any]) -> None:
    """Refuse a request that the service would refuse.

    Raises:
        ApiError: ValidationException in AWS's wording, all findings in one message.
    """
    shape = service_model(service).operation_model(operation).input_shape
    if shape is None:
        return
    findings = list(_findings(params, shape, ""))
    if findings:
        plural = "s" if len(findings) > 1 else ""
        raise invalid(f"{len(findings)} validation error{plural} detected: " + "; ".join(findings))


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Translate a pattern of the service model (Java's dialect) to Python's."""
    for java, python in _DIALECT:
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _findings(value: Any, shape: Shape, path: str) -> Iterator[str]:
    _check_type(value, shape, path)
    if isinstance(shape, StructureShape):
        yield from _structure(value, shape, path)
    elif isinstance(shape, ListShape):
        yield from _length(value, shape, path)
        for number, item in enumerate(value, start=1):
            yield from _findings(item, shape.member, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        yield from _length(value, shape, path)
        for key, item in value.items():
            yield from _findings(key, shape.key, f"{path}.{key}.key")
            yield from _findings(item, shape.value, f"{path}.{key}.member")
    elif isinstance(shape, StringShape):
        yield from _string(value, shape, path)
    elif shape.type_name in {"integer", "long", "float", "double"}:
        yield from _range(value, shape, path)


def _check_type(value: Any, shape: Shape, path: str) -> None:
    expected = _TYPES.get(shape.type_name)
    wrong_bool = isinstance(value, bool) and shape.type_name != "boolean"
    if expected and (wrong_bool or not isinstance(value, expected)):
        raise ApiError("SerializationException", f"{path or 'the request'} is not a {shape.type_name}")


def _structure(value: dict[str, Any], shape: StructureShape, path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        inner = f"{path}.{_lower(name)}" if path else _lower(name)
        if value.get(name) is not None:
            yield from _findings(value[name], member, inner)
        elif name in shape.required_members:
            yield f"Value null at '{inner}' failed to satisfy constraint: Member must not be null"


def _string(value: str, shape: StringShape, path: str) -> Iterator[str]:
    where = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must"
    if shape.enum and value not in shape.enum:
        yield f"{where} satisfy enum value set: [{', '.join(shape.enum)}]"
    yield from _length(value, shape, path)
    pattern = shape.metadata.get("pattern")
    if pattern and not compile_pattern(pattern).fullmatch(value):
        yield f"{where} satisfy regular expression pattern: {pattern}"


def _length(value: Any, shape: Shape, path: str) -> Iterator[str]:
    where = f"Value at '{path}' failed to satisfy constraint: Member must have length"
    if len(value) < shape.metadata.get("min", 0):
        yield f"{where} greater than or equal to {shape.metadata['min']}"
    if len(value) > shape.metadata.get("max", len(value)):
        yield f"{where} less than or equal to {shape.metadata['max']}"


def _range(value: float, shape: Shape, path: str) -> Iterator[str]:
    where = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value"
    if value < shape.metadata.get("min", value):
        yield f"{where} greater than or equal to {shape.metadata['min']}"
    if value > shape.metadata.get("max", value):
        yield f"{where} less than or equal to {shape.metadata['max']}"


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
