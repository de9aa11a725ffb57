"""Distributed Map as on AWS: JSONata in the Map state's own fields, ItemBatcher, and ResultWriter.

ministack runs the children and ignores the rest. The state is therefore evaluated here, ministack gets its
items in batches, and what the children return is written as Step Functions writes it:
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError
from localcloud.ministack.history import EXECUTIONS

_PARAMETERS: Final = ["state_def", "raw_input", "effective", "iterator", "execution", "ctx"]
_NUMBERS: Final = ("MaxConcurrency", "ToleratedFailurePercentage", "ToleratedFailureCount")
_STATUSES: Final = ("SUCCEEDED", "FAILED", "PENDING")

Evaluate = Callable[[Any], Any]
Put = Callable[[str, str, bytes], None]


def batched(items: list[Any], batcher: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs of the children: items in batches, as `ItemBatcher` says.

    Args:
        items: all items.
        batcher: with its expressions evaluated.
    """
    size = int(batcher.get("MaxItemsPerBatch") or len(items) or 1)
    more = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    return [{**more, "Items": items[start : start + size]} for start in range(0, len(items), size)]


def result_lines(children: Iterable[Mapping[str, Any]], writer: Mapping[str, Any]) -> bytes:
    """Return the content of a result file.

    Args:
        children: executions of one status.
        writer: the state's `ResultWriter`; `WriterConfig` chooses the form: `FLATTEN` has what the children
            returned, each of a list's members by itself, other forms the executions. Failed ones are never
            flattened.
    """
    config = writer.get("WriterConfig") or {}
    rows: list[Any] = []
    for child in children:
        if config.get("Transformation") == "FLATTEN" and child["status"] == "SUCCEEDED":
            output = json.loads(child["output"])
            rows += output if isinstance(output, list) else [output]
        else:
            rows.append(_row(child))
    if config.get("OutputType") == "JSONL":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    return json.dumps(rows).encode()


def _row(child: Mapping[str, Any]) -> dict[str, Any]:
    names = {"ExecutionArn": "executionArn", "Input": "input", "Output": "output", "Status": "status"}
    failed = {"Error": "error", "Cause": "cause"} if child["status"] == "FAILED" else {}
    return {name: child.get(source) for name, source in {**names, **failed}.items()}


def write_results(
    children: list[Mapping[str, Any]], writer: Mapping[str, Any], where: Mapping[str, Any], run: str, put: Put
) -> dict[str, Any]:
    """Write the files of a run's results and their manifest; return what the state's result says of them.

    Args:
        children: the run's executions.
        writer: the state's `ResultWriter`.
        where: its arguments: `Bucket`, `Prefix`.
        run: ARN of the map run.
        put: stores an object.
    """
    folder = "/".join(filter(None, [where.get("Prefix", "").rstrip("/"), run.rsplit(":", 1)[1]]))
    ending = "jsonl" if (writer.get("WriterConfig") or {}).get("OutputType") == "JSONL" else "json"
    files: dict[str, list[dict[str, Any]]] = {status: [] for status in _STATUSES}
    for status in _STATUSES:
        some = [child for child in children if child["status"] == status]
        if some:
            key, body = f"{folder}/{status}_0.{ending}", result_lines(some, writer)
            put(where["Bucket"], key, body)
            files[status] = [{"Key": key, "Size": len(body)}]
    manifest = {"DestinationBucket": where["Bucket"], "MapRunArn": run, "ResultFiles": files}
    put(where["Bucket"], f"{folder}/manifest.json", json.dumps(manifest).encode())
    details = {"Bucket": where["Bucket"], "Key": f"{folder}/manifest.json"}
    return {"MapRunArn": run, "ResultWriterDetails": details}


class DistributedMap:
    """Runs Distributed Map states, in place of ministack's own function.

    Args:
        engine: ministack's module of Step Functions.
        put: stores an object.
    """

    def __init__(self, engine: Any, put: Put) -> None:
        self._engine, self._put = engine, put
        self._run = engine._run_distributed_map  # noqa: SLF001
        self._run_states = engine._run_sub_machine  # noqa: SLF001

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
        if engine._state_query_language(state_def, ctx) != "JSONata":  # noqa: SLF001
            return self._run(state_def, raw_input, effective, iterator, execution, ctx)

        def evaluate(template: Any) -> Any:
            return engine._apply_jsonata_template(template, raw_input, ctx)  # noqa: SLF001

        state = dict(state_def)
        writer, items = state.pop("ResultWriter", None), self._items(state, effective, evaluate, ctx)
        plain: dict[str, Any] = {name: evaluate(state[name]) for name in _NUMBERS if name in state}
        plain |= {name: state[name] for name in ("Label", "Type", "Next", "End") if name in state}
        before = set(engine._map_runs)  # noqa: SLF001
        try:
            result, following = self._run(
                {**plain, "ItemsPath": "$.items"}, raw_input, {"items": items}, iterator, execution, ctx
            )
        finally:
            run = next(iter(set(engine._map_runs) - before), None)  # noqa: SLF001
            if writer and run:
                written = self._write(writer, evaluate(writer.get("Arguments") or {}), run)
            self._forget(run)
        result = written if writer else result
        output = engine._apply_jsonata_output(state, raw_input, ctx, result=result, default=result)  # noqa: SLF001
        engine._apply_state_assign(state, raw_input, ctx, result=result)  # noqa: SLF001
        return output, following

    def run_states(self, states: Any, start_at: str, data: Any, execution: Any, ctx: Any) -> Any:
        """Run the states of a child, whose context names the child; an aborted parent starts no more."""
        run = self._engine._map_runs.get(execution.get("mapRunArn"))  # noqa: SLF001
        if run:
            parent = self._engine._executions.get(run["executionArn"], {})  # noqa: SLF001
            if parent.get("status") != "RUNNING":
                raise self._engine._ExecutionError("States.TaskFailed", "the run was stopped")  # noqa: SLF001
            ctx["Execution"] = {
                "Id": execution["executionArn"],
                "Name": execution["name"],
                "StartTime": execution["startDate"],
                "Input": data,
            }
        return self._run_states(states, start_at, data, execution, ctx)

    def _items(self, state: dict[str, Any], effective: Any, evaluate: Evaluate, ctx: Any) -> list[Any]:
        """Return the inputs of the children, and leave in the state what is not about them."""
        reader, batcher = state.pop("ItemReader", None), state.pop("ItemBatcher", None)
        selector = state.pop("ItemSelector", None)
        if reader:
            reader = {**reader, "Arguments": evaluate(reader.get("Arguments") or {})}
            items = self._engine._read_map_items(reader, effective, ctx)  # noqa: SLF001
        else:
            items = evaluate(state.pop("Items"))
        if selector:
            items = [
                self._selected(selector, number, item, effective, ctx) for number, item in enumerate(items)
            ]
        return batched(items, evaluate(batcher)) if batcher else items

    def _selected(self, selector: Any, number: int, item: Any, effective: Any, ctx: Any) -> Any:
        context = {**ctx, "Map": {"Item": {"Index": number, "Value": item}}}
        return self._engine._apply_jsonata_template(selector, effective, context)  # noqa: SLF001

    def _children(self, run: str) -> list[dict[str, Any]]:
        executions = list(self._engine._executions.values())  # noqa: SLF001
        return [child for child in executions if child.get("mapRunArn") == run]

    def _write(self, writer: Mapping[str, Any], where: Mapping[str, Any], run: str) -> dict[str, Any]:
        return write_results(list(self._children(run)), writer, where, run, self._put)

    def _forget(self, run: str | None) -> None:
        """Keep the latest children only, as of other executions (localcloud.ministack.history)."""
        for child in self._children(run)[:-EXECUTIONS] if run else []:
            self._engine._executions.pop(child["executionArn"], None)  # noqa: SLF001


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import s3, stepfunctions  # type: ignore[import-untyped]  # noqa: PLC0415

    run, children = stepfunctions._run_distributed_map, stepfunctions._run_sub_machine  # noqa: SLF001
    if (
        list(inspect.signature(run).parameters) != _PARAMETERS
        or list(inspect.signature(children).parameters)[3:] != ["execution", "ctx"]
        or list(inspect.signature(s3._put_object).parameters) != ["bucket_name", "key", "body", "headers"]  # noqa: SLF001
    ):
        raise IncompatibleMinistackError("Distributed Map runs in another way")
    distributed = DistributedMap(
        stepfunctions,
        lambda bucket, key, body: s3._put_object(bucket, key, body, {}),  # noqa: SLF001
    )
    stepfunctions._run_distributed_map = distributed  # noqa: SLF001
    stepfunctions._run_sub_machine = distributed.run_states  # noqa: SLF001
