"""The command `python -m bench`: a table of what users wait for, and build/bench.json."""

import os

# One thread, as an endpoint that serves many callers has for each; must be set before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import json
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench.batch import OnALocalCloud, on_a_local_cloud
from bench.cases import (
    classify_a_photo,
    classify_a_thumbnail,
    classify_side_by_side,
    load_the_model,
    peak_memory,
    shrink_a_heic,
    shrink_a_phone_photo,
)
from bench.parameters import ROOT
from bench.timing import Result
from commandline.options import FOLDER, PATH, VariadicOption, json_option
from commandline.program import CONTEXT, run
from commandline.terminal import progress_bar


@click.command(context_settings=CONTEXT)
@click.option("--model", type=FOLDER, default=ROOT / "model_build" / "default_model", help="A model folder.")
@click.option(
    "--rounds",
    type=click.IntRange(min=2),
    default=100,
    help="Repetitions of what takes milliseconds; a new process is measured a tenth as often.",
)
@click.option("--output", type=PATH, default=ROOT / "build" / "bench.json", help="JSON file to write.")
@click.option(
    "--batch",
    cls=VariadicOption,
    type=click.IntRange(min=1),
    default=(100, 1000),
    metavar="N",
    help="Photos in the batches that are run on a local cloud; one or several numbers.",
)
@click.option("--keep", is_flag=True, help="Write bench/RESULTS.md and its charts too.")
@json_option
def bench(  # noqa: PLR0913 - one parameter for each option
    model: Path, rounds: int, output: Path, batch: Sequence[int], *, keep: bool, as_json: bool
) -> None:
    r"""Measure what users wait for: an answer of the model, a phone photo, a function's cold start, a batch.

    Every figure is measured in turns with a reference in the same run, and their ratio means the same on a
    fast machine and on a slow one. These are measurements, not tests: nothing fails for being slow.

    \b
    Example:
      python -m bench --rounds 20
    """
    few = max(3, rounds // 10)
    here, cloud = run_here(model, rounds, few), run_on_a_local_cloud(batch, few)
    results = here + cloud.results
    report: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "results": [result.as_json() for result in results],
        "peak_mb": {"shrink a 12-megapixel photo": peak_memory("JPEG")},
        "memory": [one.as_json() for one in cloud.memory],
        "batches": [one.as_json() for one in cloud.batches],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if keep:
        from bench.results import write_results  # noqa: PLC0415 - draws, which takes matplotlib

        write_results(report)
    click.echo(json.dumps(report) if as_json else table(results, cloud, report["peak_mb"]))


def run_on_a_local_cloud(sizes: Sequence[int], rounds: int) -> OnALocalCloud:
    """Measure the functions, the workflow, and a batch of each size, on a local cloud of its own."""
    with progress_bar(total=3 * rounds + len(sizes), title="on a local cloud", unit="round") as bar:
        return on_a_local_cloud(sizes, rounds, bar.update)


def run_here(model_dir: Path, rounds: int, few: int) -> list[Result]:
    """Measure the model and the shrinking: `rounds` times, or `few` times what takes longer."""
    with progress_bar(total=2 * rounds + 4 * few, title="in this process", unit="round") as bar:
        return [
            classify_a_photo(model_dir, rounds, bar.update),
            classify_a_thumbnail(model_dir, rounds, bar.update),
            classify_side_by_side(model_dir, few, bar.update),
            load_the_model(model_dir, few, bar.update),
            shrink_a_phone_photo(few, bar.update),
            shrink_a_heic(few, bar.update),
        ]


def table(results: list[Result], cloud: OnALocalCloud, peaks: dict[str, float]) -> str:
    """Return the results as text, a line each."""
    lines = [f"{'':52} {'p50':>9} {'p90':>9}  ratio"]
    lines += [
        f"{r.name:52} {r.p50_ms:6.1f} ms {r.p90_ms:6.1f} ms  {r.ratio:5.2f} x {r.reference} "
        f"({r.reference_p50_ms:.1f} ms)"
        for r in results
    ]
    lines += [f"{f'{name}, peak memory':52} {peak:6.1f} MB" for name, peak in peaks.items()]
    lines += [
        f"{f'{one.function}, peak memory':52} {one.mb:6.1f} MB, the plain way {one.reference_mb:.1f} MB"
        for one in cloud.memory
    ]
    lines += [
        f"{f'batch of {one.photos:,} thumbnails':52} {one.seconds:6.1f} s   "
        f"{one.photos / one.seconds:6.1f} a second, memory {sum(one.memory_mb.values()):,.0f} MB"
        for one in cloud.batches
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(bench, "python -m bench"))
