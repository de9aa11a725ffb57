"""Distributed Map as on AWS: JSONata and paths in the Map state's own fields, ItemBatcher, and ResultWriter.

ministack runs the children and ignores the rest. The state is therefore evaluated here, ministack gets its
items in batches, and what the children return is written as Step Functions writes JSON lines, flattened:
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from localcloud.ministack.errors import wrap
from localcloud.ministack.states import EXECUTIONS

_PARAMETERS: Final = ("state_def", "raw_input", "effective", "iterator", "execution", "ctx")
_NUMBERS: Final = ("MaxConcurrency", "ToleratedFailurePercentage", "ToleratedFailureCount")
_STATUSES: Final = ("SUCCEEDED", "FAILED", "PENDING")

Put = Callable[[str, str, bytes], None]
Evaluate = Callable[..., Any]
"""Evaluates a template of a state, in the state's context or in one of an item."""


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


def write_results(
    children: list[Mapping[str, Any]], where: Mapping[str, Any], run: str, put: Put
) -> dict[str, Any]:
    """Write the files of a run's results and their manifest; return the state's result.

    Args:
        children: the run's executions.
        where: arguments of the `ResultWriter`: `Bucket`, `Prefix`.
        run: ARN of the map run.
        put: stores an object under bucket and key.
    """
    folder = "/".join(filter(None, [where.get("Prefix", "").rstrip("/"), run.rsplit(":", 1)[1]]))
    files: dict[str, list[dict[str, Any]]] = {status: [] for status in _STATUSES}
    for status in _STATUSES:
        some = [child for child in children if child["status"] == status]
        if some:
            key, body = f"{folder}/{status}_0.jsonl", result_lines(some)
            put(where["Bucket"], key, body)
            files[status] = [{"Key": key, "Size": len(body)}]
    manifest = {"DestinationBucket": where["Bucket"], "MapRunArn": run, "ResultFiles": files}
    put(where["Bucket"], f"{folder}/manifest.json", json.dumps(manifest).encode())
    details = {"Bucket": where["Bucket"], "Key": f"{folder}/manifest.json"}
    return {"MapRunArn": run, "ResultWriterDetails": details}


class DistributedMap:
    """Runs Distributed Map states in place of ministack's own function; `engine` is its Step Functions."""

    def __init__(self, engine: Any, put: Put) -> None:
        self._engine, self._put = engine, put
        self._run = engine._run_distributed_map
        self._run_states = engine._run_sub_machine

    def __call__(  # noqa: PLR0913, PLR0917 - ministack's own arguments
        self,
        state_def: Mapping[str, Any],
        raw_input: Any,
        effective: Any,
        iterator: Any,
        execution: Any,
        ctx: Any,
    ) -> Any:
        """Run a state; return its output and the name of the next one."""
        engine = self._engine
        is_jsonata = engine._state_query_language(state_def, ctx) == "JSONata"

        def evaluate(template: Any, context: Any = ctx) -> Any:
            if is_jsonata:
                return engine._apply_jsonata_template(template, raw_input, context)
            return engine._resolve_params_obj(template, effective, context)

        items = self._items(state_def, effective, evaluate, ctx)
        plain = self._numbers(state_def, effective, evaluate, ctx)
        plain |= {name: state_def[name] for name in ("Label", "Type") if name in state_def}
        runs = engine._map_runs
        before = set(runs)
        try:
            result, _ = self._run(
                {**plain, "ItemsPath": "$.items"}, raw_input, {"items": items}, iterator, execution, ctx
            )
        finally:
            mine = execution["executionArn"]  # others may run at the same time
            run = next(arn for arn in set(runs) - before if runs[arn]["executionArn"] == mine)
            children = [one for one in list(engine._executions.values()) if one.get("mapRunArn") == run]
            if writer := state_def.get("ResultWriter"):
                where = evaluate(writer.get("Arguments") or writer.get("Parameters") or {})
                written = write_results(children, where, run, self._put)
            for child in children[:-EXECUTIONS]:
                engine._executions.pop(child["executionArn"], None)
        result = written if writer else result
        if is_jsonata:
            output = engine._apply_jsonata_output(state_def, raw_input, ctx, result=result, default=result)
        else:
            selected = engine._apply_result_selector(state_def, result)
            output = engine._apply_result_path(state_def, raw_input, selected)
            output = engine._apply_output_path(state_def, output, ctx)
        return output, engine._next_or_end(state_def)

    def _items(self, state: Mapping[str, Any], effective: Any, evaluate: Evaluate, ctx: Any) -> list[Any]:
        """Return the inputs of the children: read, selected and in batches, as the state says."""
        engine = self._engine
        if "ItemReader" in state:
            reader = evaluate(state["ItemReader"])
            items = engine._read_map_items(reader, effective, ctx)
        elif "Items" in state:
            items = evaluate(state["Items"])
        else:
            items = engine._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, ctx)
        if selector := state.get("ItemSelector") or state.get("Parameters"):
            contexts = [{**ctx, "Map": {"Item": {"Index": n, "Value": one}}} for n, one in enumerate(items)]
            items = [evaluate(selector, context) for context in contexts]
        return batched(items, evaluate(state["ItemBatcher"])) if "ItemBatcher" in state else items

    def _numbers(
        self, state: Mapping[str, Any], effective: Any, evaluate: Evaluate, ctx: Any
    ) -> dict[str, Any]:
        engine, found = self._engine, {name: evaluate(state[name]) for name in _NUMBERS if name in state}
        for name in _NUMBERS:
            if path := state.get(f"{name}Path"):
                found[name] = engine._resolve_path_or_ctx(path, effective, ctx)
        if not 0 <= found.get("ToleratedFailurePercentage", 0) <= 100:  # noqa: PLR2004
            text = "ToleratedFailurePercentage must be between 0 and 100."
            raise engine._ExecutionError("States.Runtime", text)
        return found

    def run_states(self, states: Any, start_at: str, data: Any, execution: Any, ctx: Any) -> Any:
        """Run the states of a child, whose context names the child; an aborted parent starts no more."""
        run = self._engine._map_runs.get(execution.get("mapRunArn"))
        if run:
            parent = self._engine._executions.get(run["executionArn"], {})
            if parent.get("status") != "RUNNING":
                raise self._engine._ExecutionError("States.TaskFailed", "the run was stopped")
            ctx["Execution"] = {
                "Id": execution["executionArn"],
                "Name": execution["name"],
                "StartTime": execution["startDate"],
            }
        return self._run_states(states, start_at, data, execution, ctx)


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import s3, stepfunctions

    engine, states = stepfunctions, ("states", "start_at", "input_data", "execution", "ctx")
    distributed = DistributedMap(engine, lambda bucket, key, body: s3._put_object(bucket, key, body, {}))
    wrap(engine, "_run_distributed_map", _PARAMETERS, lambda _: distributed)
    wrap(engine, "_run_sub_machine", states, lambda _: distributed.run_states)
    wrap(s3, "_put_object", ("bucket_name", "key", "body", "headers"), lambda put: put)
