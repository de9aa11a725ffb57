"""CloudFormation accepts the queries of CloudWatch Logs Insights.

ministack does not know the type and refuses the whole stack; here the queries exist and are never run.
"""

import uuid
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError

TYPE: Final = "AWS::Logs::QueryDefinition"


def create(_logical_id: str, props: dict[str, Any], _stack_name: str) -> tuple[str, dict[str, str]]:
    """Return an id and the attributes of a query, as ministack's provisioners do.

    Args:
        props: its properties.

    Raises:
        ValueError: it has no name or no text, which CloudFormation requires.
    """
    if not props.get("Name") or not props.get("QueryString"):
        raise ValueError(f"{TYPE} requires Name and QueryString")
    query = str(uuid.uuid4())
    return query, {"QueryDefinitionId": query}


def update(physical_id: str, *_: Any) -> tuple[str, dict[str, str]]:
    """Keep the query."""
    return physical_id, {"QueryDefinitionId": physical_id}


def delete(*_: Any) -> None:
    """Nothing was made."""


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services.cloudformation import (  # type: ignore[import-untyped]  # noqa: PLC0415
        provisioners,
    )

    handlers = next(
        (
            one
            for one in vars(provisioners).values()
            if isinstance(one, dict) and isinstance(one.get("AWS::Logs::LogGroup"), dict)
        ),
        None,
    )
    if handlers is None or not callable(handlers["AWS::Logs::LogGroup"].get("create")) or TYPE in handlers:
        raise IncompatibleMinistackError("CloudFormation provisions log queries in another way")
    handlers[TYPE] = {"create": create, "update": update, "delete": delete}
