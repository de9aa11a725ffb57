"""EventBridge's event patterns, as far as our rule may use them.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html: exact values,
prefix, suffix, exists, anything-but and numeric comparison. An operator that is not known here is an error,
not a match.
"""

from collections.abc import Callable
from typing import Any

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, bound: value == bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
}


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": lambda value, operand: isinstance(value, str) and value.startswith(operand),
    "suffix": lambda value, operand: isinstance(value, str) and value.endswith(operand),
    "anything-but": lambda value, operand: value not in (operand if isinstance(operand, list) else [operand]),
    "numeric": lambda value, operand: all(
        _COMPARISONS[comparison](value, bound)
        for comparison, bound in zip(operand[::2], operand[1::2], strict=True)
    ),
}


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether the event has all that the pattern asks for."""
    return all(_field_matches(wanted, name, event) for name, wanted in pattern.items())


def _field_matches(wanted: Any, name: str, event: dict[str, Any]) -> bool:
    if isinstance(wanted, dict):
        inner = event.get(name)
        return isinstance(inner, dict) and matches(wanted, inner)
    present = name in event
    found = event[name] if isinstance(event.get(name), list) else [event.get(name)]
    return any(_rule_matches(rule, value, present=present) for rule in wanted for value in found)


def _rule_matches(rule: Any, value: Any, *, present: bool) -> bool:
    if not isinstance(rule, dict):
        return present and bool(value == rule)
    ((operator, operand),) = rule.items()
    if operator == "exists":
        return present is operand
    if operator not in _OPERATORS:
        raise NotImplementedError(f"the operator {operator} is not implemented: add it to {__name__}")
    return present and _OPERATORS[operator](value, operand)
