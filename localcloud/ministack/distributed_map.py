"""Distributed Map as on AWS: JSONata and paths in the Map state's own fields, ItemBatcher, and ResultWriter.

ministack runs the children and ignores the rest. The state is therefore evaluated here, ministack gets its
items in batches, and what the children return is written as Step Functions writes JSON lines, flattened:
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ministack.services import s3
from ministack.services import stepfunctions as engine

from localcloud.ministack.repairs import Repairs
from localcloud.ministack.states import EXECUTIONS

REPAIRS: Final = Repairs()
_NUMBERS: Final = ("MaxConcurrency", "ToleratedFailurePercentage", "ToleratedFailureCount")

Evaluate = Callable[..., Any]  # of a template, in the state's context or in one of an item


def batched(items: list[Any], batcher: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs of the children: items in batches, as an evaluated `ItemBatcher` says."""
    size = int(batcher.get("MaxItemsPerBatch") or len(items) or 1)
    more = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    return [{**more, "Items": items[start : start + size]} for start in range(0, len(items), size)]


def result_lines(children: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a result file of executions of one status.

    What those that succeeded returned, each of a list's members by itself; the others as executions.
    """
    rows: list[Any] = []
    for child in children:
        if child["status"] == "SUCCEEDED":
            output = json.loads(child["output"])
            rows += output if isinstance(output, list) else [output]
        else:
            names = ("executionArn", "input", "output", "status", "error", "cause")
            rows.append({name[0].upper() + name[1:]: child.get(name) for name in names})
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write_results(children: list[Mapping[str, Any]], where: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Write the result files of a map run, by its ARN, and their manifest; return the state's result.

    `where` has the arguments of the `ResultWriter`: `Bucket`, `Prefix`.
    """
    bucket = where["Bucket"]
    folder = "/".join(filter(None, [where.get("Prefix", "").rstrip("/"), run.rsplit(":", 1)[1]]))
    files: dict[str, list[dict[str, Any]]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": []}
    for status, written in files.items():
        if some := [child for child in children if child["status"] == status]:
            key, body = f"{folder}/{status}_0.jsonl", result_lines(some)
            s3._put_object(bucket, key, body, {})
            written.append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": bucket, "MapRunArn": run, "ResultFiles": files}
    s3._put_object(bucket, f"{folder}/manifest.json", json.dumps(manifest).encode(), {})
    details = {"Bucket": bucket, "Key": f"{folder}/manifest.json"}
    return {"MapRunArn": run, "ResultWriterDetails": details}


def _items(state: Mapping[str, Any], effective: Any, evaluate: Evaluate, ctx: Any) -> list[Any]:
    """Return the inputs of the children: read, selected and in batches, as the state says."""
    if "ItemReader" in state:
        items = engine._read_map_items(evaluate(state["ItemReader"]), effective, ctx)
    elif "Items" in state:
        items = evaluate(state["Items"])
    else:
        items = engine._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, ctx)
    if selector := state.get("ItemSelector") or state.get("Parameters"):
        contexts = [{**ctx, "Map": {"Item": {"Index": n, "Value": one}}} for n, one in enumerate(items)]
        items = [evaluate(selector, context) for context in contexts]
    return batched(items, evaluate(state["ItemBatcher"])) if "ItemBatcher" in state else items


def _numbers(state: Mapping[str, Any], effective: Any, evaluate: Evaluate, ctx: Any) -> dict[str, Any]:
    found = {name: evaluate(state[name]) for name in _NUMBERS if name in state}
    for name in _NUMBERS:
        if path := state.get(f"{name}Path"):
            found[name] = engine._resolve_path_or_ctx(path, effective, ctx)
    if not 0 <= found.get("ToleratedFailurePercentage", 0) <= 100:  # noqa: PLR2004
        text = "ToleratedFailurePercentage must be between 0 and 100."
        raise engine._ExecutionError("States.Runtime", text)
    return found


_ARGUMENTS: Final = ("state_def", "raw_input", "effective", "iterator", "execution", "ctx")


@REPAIRS.around(engine, "_run_distributed_map", *_ARGUMENTS)
def _run_map(original: Callable[..., Any], state: Mapping[str, Any], data: Any, *more: Any) -> Any:
    """Run a state; return its output and the name of the next one."""
    effective, iterator, execution, ctx = more
    is_jsonata = engine._state_query_language(state, ctx) == "JSONata"

    def evaluate(template: Any, context: Any = ctx) -> Any:
        if is_jsonata:
            return engine._apply_jsonata_template(template, data, context)
        return engine._resolve_params_obj(template, effective, context)

    items = {"items": _items(state, effective, evaluate, ctx)}
    plain = _numbers(state, effective, evaluate, ctx) | {"ItemsPath": "$.items"}
    plain |= {name: state[name] for name in ("Label", "Type") if name in state}
    runs, mine = engine._map_runs, execution["executionArn"]
    before, writer = set(runs), state.get("ResultWriter")
    try:
        result, _ = original(plain, data, items, iterator, execution, ctx)
    finally:  # others may run at the same time
        run = next(arn for arn in set(runs) - before if runs[arn]["executionArn"] == mine)
        children = [one for one in list(engine._executions.values()) if one.get("mapRunArn") == run]
        if writer:
            where = evaluate(writer.get("Arguments") or writer.get("Parameters") or {})
            written = write_results(children, where, run)
        for child in children[:-EXECUTIONS]:
            engine._executions.pop(child["executionArn"], None)
    result = written if writer else result
    if is_jsonata:
        output = engine._apply_jsonata_output(state, data, ctx, result=result, default=result)
    else:
        output = engine._apply_result_path(state, data, engine._apply_result_selector(state, result))
        output = engine._apply_output_path(state, output, ctx)
    return output, engine._next_or_end(state)


@REPAIRS.around(engine, "_run_sub_machine", "states", "start_at", "input_data", "execution", "ctx")
def _run_child(original: Callable[..., Any], *what: Any) -> Any:
    """Run the states of a child, whose context names the child; an aborted parent starts no more."""
    execution, ctx = what[3:]
    if run := engine._map_runs.get(execution.get("mapRunArn")):
        if engine._executions.get(run["executionArn"], {}).get("status") != "RUNNING":
            raise engine._ExecutionError("States.TaskFailed", "the run was stopped")
        ctx["Execution"] = {
            "Id": execution["executionArn"],
            "Name": execution["name"],
            "StartTime": execution["startDate"],
        }
    return original(*what)
