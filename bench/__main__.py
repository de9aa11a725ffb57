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

from bench.cases import classify_a_photo, load_the_model, shrink_phone_photos
from bench.cloud import on_a_local_cloud
from commandline.options import FOLDER, PATH, VariadicOption, json_option
from commandline.program import CONTEXT, run
from commandline.terminal import progress_bar
from tests.support.sam_app import ROOT

RESULTS = ROOT / "bench" / "RESULTS.md"
PAGE = """# Results of the benchmarks

{date}, {machine}, {processors} processors, Python {python}; by `python -m bench --keep`. Each figure was
measured in turns with its reference; the ratio is what can be compared between machines.

```
{table}
```
"""


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
@click.option("--keep", is_flag=True, help="Write bench/RESULTS.md too.")
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
    with progress_bar(total=rounds + 3 * few, title="in this process", unit="round") as bar:
        here = [
            classify_a_photo(model, rounds, bar.update),
            load_the_model(model, few, bar.update),
            *shrink_phone_photos(few, bar.update),
        ]
    with progress_bar(total=few + len(batch), title="on a local cloud", unit="round") as bar:
        there, peak_mb, batches = on_a_local_cloud(batch, few, bar.update)
    report: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "results": here + there,
        "peak_mb": peak_mb,
        "batches": batches,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if keep:
        RESULTS.write_text(PAGE.format(**report, table=table(report)), encoding="utf-8")
    click.echo(json.dumps(report) if as_json else table(report))


def table(report: dict[str, Any]) -> str:
    """Return the results as text, a line each."""
    lines = [f"{'':52} {'p50':>9} {'p90':>9}  ratio"]
    for one in report["results"]:
        times = f"{one['p50_ms']:6.1f} ms {one['p90_ms']:6.1f} ms"
        reference = f"{one['reference']} ({one['reference_p50_ms']:.1f} ms)"
        lines.append(f"{one['name']:52} {times}  {one['ratio']:5.2f} x {reference}")
    lines += [f"{name:52} {peak:6.1f} MB" for name, peak in report["peak_mb"].items()]
    for one in report["batches"]:
        name, rate = f"batch of {one['photos']:,} thumbnails", one["photos"] / one["seconds"]
        memory = ", ".join(f"{part} {size:,.0f}" for part, size in one["memory_mb"].items())
        lines.append(f"{name:52} {one['seconds']:6.1f} s  {rate:5.1f} a second; MB: {memory}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(bench, "python -m bench"))
