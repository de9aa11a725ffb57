"""Measures what users wait for: an answer of the model, its loading, a phone photo, a function's cold start.

Every figure stands beside a reference measured in turns with it, in the same run: the ratio means the same
on a fast machine and on a slow one. These are measurements, no tests: nothing fails for being slow.
"""

import os

# One thread, as an endpoint that serves many callers has for each; must stand before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import importlib.util
import io
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image
from tqdm import tqdm

from bench.timing import Case, Result, compare, in_fresh_process
from model_build.data.drawings import FIRST_TEST_SEED, draw
from model_build.serving import inference

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = ROOT / "functions"
FUNCTION_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "MAX_OBJECT_BYTES": "26214400",
    "MAX_PIXELS": "64000000",
    "LONGEST_SIDE": "256",
    "ENDPOINT_NAME": "bench",
    "CLASS_LABELS": "bicycle,motorcycle",
    "CONFIDENCE_THRESHOLD": "0.85",
}
Tick = Callable[[], object]


def _jpeg(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    draw("bicycle", FIRST_TEST_SEED, size).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _decode(photo: bytes, size: int) -> Image.Image:
    """What anybody would write first: read all pixels, then shrink."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return image


def _module_of(folder: Path, name: str) -> ModuleType:
    """Imports one module of a function's folder, where names such as `errors` are the folder's own."""
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(f"bench_{name}", folder / f"{name}.py")
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"{folder} has no {name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(folder))


def classify_a_photo(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """The endpoint's work for one 256-pixel JPEG: decode, look at every window, answer."""
    model = inference.model_fn(str(model_dir))
    photo = _jpeg((256, 256))

    def answer() -> str:
        image = inference.input_fn(photo, "image/jpeg")
        return inference.output_fn(inference.predict_fn(image, model), "application/json")

    return compare(
        Case("classify one 256-pixel photo, one thread", answer),
        Case("decode that photo", lambda: _decode(photo, 256)),
        rounds=rounds,
        tick=tick,
    )


def load_the_model(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """A new process until the model could answer."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    load = f"from model_build.serving import inference; inference.model_fn({str(model_dir)!r})"
    return compare(
        Case("start Python and load the model", in_fresh_process(load, ROOT, environment)),
        Case(
            "start Python and import onnxruntime", in_fresh_process("import onnxruntime", ROOT, environment)
        ),
        rounds=rounds,
        tick=tick,
    )


def shrink_a_phone_photo(rounds: int, tick: Tick) -> Result:
    """SerializeImage's work on 12 megapixels."""
    imaging = _module_of(FUNCTIONS / "serialize_image", "imaging")
    photo = _jpeg((4000, 3000))
    return compare(
        Case(
            "shrink a 12-megapixel photo (SerializeImage)",
            lambda: imaging.shrink(photo, longest_side=256, max_pixels=64_000_000),
        ),
        Case("decode all of it, then shrink", lambda: _decode(photo, 256)),
        rounds=rounds,
        tick=tick,
    )


def cold_start(function: str, rounds: int, tick: Tick) -> Result:
    """Importing a function's handler in a new interpreter."""
    environment = {**os.environ, **FUNCTION_ENVIRONMENT}
    folder = FUNCTIONS / function
    return compare(
        Case(f"cold start of {function}", in_fresh_process("import app", folder, environment)),
        Case("start Python and import boto3", in_fresh_process("import boto3", folder, environment)),
        rounds=rounds,
        tick=tick,
    )


def run_all(model_dir: Path, rounds: int) -> list[Result]:
    """Runs every benchmark; `rounds` for what takes milliseconds, a tenth of it for new processes."""
    few = max(3, rounds // 10)
    functions = sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py"))
    total = rounds + few + few + few * len(functions)
    with tqdm(total=total, unit="round", file=sys.stderr, disable=None) as bar:
        return [
            classify_a_photo(model_dir, rounds, bar.update),
            load_the_model(model_dir, few, bar.update),
            shrink_a_phone_photo(few, bar.update),
            *(cold_start(function, few, bar.update) for function in functions),
        ]


def _table(results: list[Result]) -> str:
    lines = [f"{'':48} {'p50':>9} {'p90':>9}  ratio"]
    lines += [
        f"{r.name:48} {r.p50_ms:6.1f} ms {r.p90_ms:6.1f} ms  {r.ratio:5.2f} x {r.reference} "
        f"({r.reference_p50_ms:.1f} ms)"
        for r in results
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m bench`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "model_build" / "default_model", help="a model folder"
    )
    parser.add_argument("--rounds", type=int, default=100, help="repetitions of what takes milliseconds")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "bench.json", help="JSON file to write"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON instead of a table")
    args = parser.parse_args(arguments)
    if args.rounds < 2:  # noqa: PLR2004 - a percentile needs two
        parser.error("--rounds must be 2 or more")
    try:
        results = run_all(args.model, args.rounds)
    except FileNotFoundError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "results": [result.as_json() for result in results],
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report) if args.json else _table(results))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
