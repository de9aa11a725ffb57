"""The Amazon States Language as on AWS: context, errors and their texts, what services return to states."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ministack.services import stepfunctions as engine

from localcloud.ministack.executions import ENTERED, parsed_definition
from localcloud.ministack.repairs import Repairs

REPAIRS: Final = Repairs()
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LOCATED: Final = {"States.QueryEvaluationError", "States.Runtime"}

Fields = Iterator[tuple[str, str]]


def visible(context: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ministack's context as workflows see it."""
    return {name: one for name, one in (context or {}).items() if name not in {"QueryLanguage", "variables"}}


def located(cause: str) -> str:
    """Return the cause of an error with the state in which it happened."""
    if not (state := ENTERED.get()) or cause.startswith("An error occurred"):
        return cause
    name, number, _ = state
    return (
        f"An error occurred while executing the state '{name}' (entered at the event id #{number}). {cause}"
    )


def _fields(node: Any, path: str) -> Fields:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, one in pairs:
        yield from _fields(one, f"{path}/{name}")
    if isinstance(node, str) and node.startswith("{%"):
        yield path, node[2:-2].strip()


def wrong_expression(expression: str, message: str = "") -> str:
    """Return AWS's text of an expression of the running state that failed, or that has no result."""
    name, _, definition = ENTERED.get() or ("", 0, "{}")
    state = f"/States/{name}/"
    paths = [
        path
        for path, text in _fields(parsed_definition(definition), "")
        if text == expression and state in path
    ]
    field = paths[0].partition(state)[2] if paths else ""
    wrong = f"threw an error during evaluation. {message}" if message else "returned nothing (undefined)."
    return f"The JSONata expression '{expression}' specified for the field '{field}' {wrong}"


def is_date_time(text: str) -> bool:
    """Return whether a text has date, time and zone as Wait states need them."""
    return _DATE_TIME.fullmatch(text) is not None


def with_sdk(service: str, status: int, code: str, message: str) -> str:
    """Return the cause of an error that a service gave to an optimized integration."""
    more = f"Status Code: {status}; Error Code: {code}; Request ID: {uuid.uuid4()}; Proxy: null"
    return f"{message} (Service: {service}; {more})"


def _operation(service: str, action: str) -> Any:
    """Return what botocore's model knows of a service's operation, by ministack's names; None if nothing."""
    model, name = engine._service_model(service), action[0].upper() + action[1:]
    return model.operation_model(name) if model and name in model.operation_names else None


def missing(service: str, action: str, data: Any) -> Any:
    """Return the answer to a call without its required members; None if it has them."""
    operation = _operation(service, action)
    required = operation.input_shape.required_members if operation and operation.input_shape else []
    absent = [one for one in required if (data or {}).get(one) is None]
    if not absent:
        return None
    texts = "; ".join(
        f"Value null at '{one[0].lower()}{one[1:]}' failed to satisfy constraint: Member must not be null"
        for one in absent
    )
    errors = "1 validation error" if len(absent) == 1 else f"{len(absent)} validation errors"
    return engine.error_response_json("ValidationException", f"{errors} detected: {texts}", 400)


def error_name(service: str, action: str, code: str, otherwise: str) -> str:
    """Return an error's code if the model knows it; an SDK has one name for all others."""
    if not (operation := _operation(service, action)):
        return code
    shapes = operation.error_shapes
    known = {one.name for one in shapes} | {one.metadata.get("error", {}).get("code") for one in shapes}
    return code if code in known else otherwise


def _timeout(state: Mapping[str, Any], data: Any, context: Any) -> Any:
    if "TimeoutSecondsPath" in state:
        return engine._resolve_path_or_ctx(state["TimeoutSecondsPath"], data, context)
    return engine._apply_jsonata_template(state.get("TimeoutSeconds"), data, context)


_CHANGES: Final = {
    "_run_execution": {
        ', "RetryCount": 0}': "}",
        '"StartTime": execution["startDate"],': """"StartTime": execution["startDate"],
            "RoleArn": sm["roleArn"], **({} if execution.get("sync") else {"RedriveCount": 0}),""",
    },
    "_run_sub_machine": {', "RetryCount": 0}': "}"},
    "_resolve_params_obj": {'value.startswith("$$.")': 'value.startswith("$$")'},
    "_resolve_ctx_path": {
        "    if not path": '    if path == "$$":\n        return _visible(ctx)\n    if not path'
    },
    "_execute_pass": {
        "    output = _apply_result_path": """    assign = state_def.get("Assign", {})
    (ctx or {}).setdefault("variables", {}).update(_resolve_params_obj(assign, result, ctx))
    output = _apply_result_path"""
    },
    "_fail_execution": {
        '    execution["status"] = "FAILED"\n': """    if execution["status"] != "RUNNING":  # but ended
        return
    execution["status"] = "FAILED"
""",
        'json.dumps({"Error": error, "Cause": cause})': "None",
    },
    "_fail_state_error": {'"States.Fail"': '""'},
    "_jsonata_state_field": {
        "JSONata expression spec": "JSONata expression '{state_def[field][2:-2].strip()}' spec"
    },
    "_jsonata_wait_timestamp": {"if _parse_ts(": "if not _is_date_time(timestamp) or _parse_ts("},
    "_evaluate_jsonata": {
        '"context": ctx,': '"context": _visible(ctx),',
        'QueryEvaluationError", message': 'QueryEvaluationError", _wrong_expression(expression, message)',
        'f"JSONata expression did not return a result: {expression}"': "_wrong_expression(expression)",
    },
    "_execute_task": {
        'state_def["TimeoutSeconds"])': "_timeout(state_def, raw_input, ctx))",
        'elif "TimeoutSeconds" in state_def': "elif _timeout(state_def, raw_input, ctx)",
    },
    "_invoke_resource_with_timeout": {'f"Task timed out after {timeout} seconds"': '""'},
    "_invoke_resource": {
        "payload = input_data.get(": """payload = {}
        if input_data.get("Payload") is not None:
            payload = input_data.get(""",
        '{"StatusCode": 200,': '{"ExecutedVersion": "$LATEST", "StatusCode": 200,',
    },
    "_call_lambda": {
        'f"Function not found: {func_name}"': """_with_sdk(
                "AWSLambda", 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:"
                f"{get_region()}:{get_account_id()}:function:{func_name}:$LATEST")"""
    },
    "_invoke_dynamodb": {
        "= fn(input_data)": '= _missing("dynamodb", op_name, input_data) or fn(input_data)',
        "{error_name}": "{_error_name('dynamodb', op_name, error_name, 'AmazonDynamoDBException')}",
        'result.get("message", "")': '_with_sdk("AmazonDynamoDBv2", status, error_name, result["message"])',
    },
    "_invoke_sqs_send_message": {
        "{e.code}": "{_error_name('sqs', 'sendMessage', e.code, 'AmazonSQSException')}",
        "e.message": '_with_sdk("AmazonSQS", 400, e.code, e.message)',
    },
    "_invoke_events_put_events": {'result.get("__type", "EventBridge.E': '("EventBridge.E'},
    "_dispatch_aws_sdk_json": {
        "= app.call_": "= _missing(service_key, pascal_action, wire_data) or app.call_",
        "    if status >= 400:": """    if status >= 400:
        sdk = _AWS_SDK_ERROR_PREFIX.get(service_name, service_name.capitalize())""",
        "error_type), error_msg": """_error_name(service_key, pascal_action, error_type, sdk + "Exception")),
            f"{error_msg} (Service: {sdk}, Status Code: {status}, Request ID: {new_uuid()})\"""",
    },
}


REPAIRS.rewrite(
    engine,
    _CHANGES,
    *(visible, is_date_time, wrong_expression, _timeout, missing, error_name, with_sdk),
)


@REPAIRS.step
def _dispatch() -> None:
    calls = engine._SERVICE_DISPATCH
    calls |= {name: vars(engine)[one.__name__] for name, one in calls.items() if one.__name__ in _CHANGES}


@REPAIRS.around(engine._ExecutionError, "__init__", "self", "error", "cause")
def _locate(begin: Callable[[Any, str, str], None], self: Any, error: str, cause: str) -> None:
    begin(self, error, located(cause) if error in _LOCATED else cause)
