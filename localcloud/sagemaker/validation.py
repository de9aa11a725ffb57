"""Check requests against botocore's own description of a service.

The client side of boto3 checks names and types only; required members, patterns, lengths, ranges and enums
are checked by the service. A request that only a lenient emulator accepts would fail in the real deployment.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from localcloud.sagemaker.resources import ApiError, Json, invalid

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("integer", "long"), int),
    **dict.fromkeys(("float", "double"), (int, float)),
    "string": str,
    "boolean": bool,
    "timestamp": (int, float, str),
    "structure": dict,
    "map": dict,
    "list": list,
}
_DIALECT: Final = (
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


def check_request(service: str, operation: str, params: Json) -> None:
    """Refuse what the service would refuse, by a ValidationException in AWS's wording with all findings."""
    shape = service_model(service).operation_model(operation).input_shape
    findings = list(_findings(params, shape, "")) if shape else []
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
    expected: Any = _TYPES.get(shape.type_name, object)
    wrong_bool = isinstance(value, bool) and shape.type_name != "boolean"
    if wrong_bool or not isinstance(value, expected):
        raise ApiError("SerializationException", f"{path or 'the request'} is not a {shape.type_name}")
    match shape:
        case StructureShape():
            yield from _members(value, shape, path)
        case StringShape():
            yield from _text(value, shape, path)
        case ListShape():
            yield from _bounds(len(value), shape, f"Value at '{path}'", "length")
            for index, item in enumerate(value, 1):
                yield from _findings(item, shape.member, f"{path}.{index}.member")
        case MapShape():
            yield from _bounds(len(value), shape, f"Value at '{path}'", "length")
            for key, item in value.items():
                yield from _findings(key, shape.key, f"{path}.{key}.key")
                yield from _findings(item, shape.value, f"{path}.{key}.member")
        case _ if isinstance(value, int | float):
            yield from _bounds(value, shape, f"Value '{value}' at '{path}'", "value")


def _members(value: Json, shape: StructureShape, path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        inner = f"{path}.{name[:1].lower()}{name[1:]}".lstrip(".")
        if value.get(name) is not None:
            yield from _findings(value[name], member, inner)
        elif name in shape.required_members:
            yield f"Value null at '{inner}' failed to satisfy constraint: Member must not be null"


def _text(value: str, shape: StringShape, path: str) -> Iterator[str]:
    where = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must"
    if shape.enum and value not in shape.enum:
        yield f"{where} satisfy enum value set: [{', '.join(shape.enum)}]"
    yield from _bounds(len(value), shape, f"Value at '{path}'", "length")
    pattern = shape.metadata.get("pattern")
    if pattern and not compile_pattern(pattern).fullmatch(value):
        yield f"{where} satisfy regular expression pattern: {pattern}"


def _bounds(size: Any, shape: Shape, value: str, what: str) -> Iterator[str]:
    where = f"{value} failed to satisfy constraint: Member must have {what}"
    if size < shape.metadata.get("min", size):
        yield f"{where} greater than or equal to {shape.metadata['min']}"
    if size > shape.metadata.get("max", size):
        yield f"{where} less than or equal to {shape.metadata['max']}"
