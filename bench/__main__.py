"""The command `python -m bench`: a table of what users wait for, and build/bench.json."""

import os

# One thread, as an endpoint that serves many callers has for each; must be set before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import json
import platform
import sys
from pathlib import Path
from typing import Any

import click

from bench.cases import (
    FUNCTIONS,
    classify_a_photo,
    classify_a_thumbnail,
    cold_start,
    load_the_model,
    shrink_a_phone_photo,
)
from bench.parameters import ROOT
from bench.timing import Result
from commandline.options import FOLDER, PATH, json_option
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
@json_option
def bench(model: Path, rounds: int, output: Path, *, as_json: bool) -> None:
    r"""Measure what users wait for: an answer of the model, a phone photo, a function's cold start.

    Every figure is measured in turns with a reference in the same run, and their ratio means the same on a
    fast machine and on a slow one. These are measurements, not tests: nothing fails for being slow.

    \b
    Example:
      python -m bench --rounds 20
    """
    results = run_all(model, rounds)
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "results": [result.as_json() for result in results],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(report) if as_json else table(results))


def run_all(model_dir: Path, rounds: int) -> list[Result]:
    """Run every benchmark: `rounds` times, or a tenth of it (three at least) for new processes."""
    few = max(3, rounds // 10)
    functions = sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py"))
    total = rounds + rounds + few + few + few * len(functions)
    with progress_bar(total=total, title="bench", unit="round") as bar:
        return [
            classify_a_photo(model_dir, rounds, bar.update),
            classify_a_thumbnail(model_dir, rounds, bar.update),
            load_the_model(model_dir, few, bar.update),
            shrink_a_phone_photo(few, bar.update),
            *(cold_start(function, few, bar.update) for function in functions),
        ]


def table(results: list[Result]) -> str:
    """Return the results as text, a line each."""
    lines = [f"{'':48} {'p50':>9} {'p90':>9}  ratio"]
    lines += [
        f"{r.name:48} {r.p50_ms:6.1f} ms {r.p90_ms:6.1f} ms  {r.ratio:5.2f} x {r.reference} "
        f"({r.reference_p50_ms:.1f} ms)"
        for r in results
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(bench, "python -m bench"))
