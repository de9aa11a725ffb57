"""Timing in turns with a reference, so that other load affects both alike; and what needs no cloud."""

import importlib
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model_build.data.drawings import FIRST_TEST_SEED, draw
from model_build.serving import inference
from tests.support.sam_app import FUNCTIONS, ROOT, function_environment

PHONE_PHOTO = (4000, 3000)  # 12 megapixels
Tick = Callable[[], object]
Case = tuple[str, Callable[[], object]]
"""What to time, after its name in the table."""
Result = dict[str, Any]


def compare(measured: Case, reference: Case, *, rounds: int, tick: Tick) -> Result:
    """Run both in turns, once to warm up and then `rounds` times; call `tick` after each round."""
    (name, run), (other, run_other) = measured, reference
    run()
    run_other()
    times, other_times = list[float](), list[float]()
    for _ in range(rounds):
        times.append(seconds(run))
        other_times.append(seconds(run_other))
        tick()
    return compared(name, times, other, other_times)


def compared(name: str, times: Sequence[float], reference: str, reference_times: Sequence[float]) -> Result:
    """Return what was measured, in seconds, in turns with a reference; `ratio` is of their medians."""
    p50, reference_p50 = statistics.median(times), statistics.median(reference_times)
    return {
        "name": name,
        "reference": reference,
        "p50_ms": round(p50 * 1000, 3),
        "p90_ms": round(statistics.quantiles(times, n=10)[-1] * 1000, 3),
        "reference_p50_ms": round(reference_p50 * 1000, 3),
        "ratio": round(p50 / reference_p50, 2),
        "rounds": len(times),
    }


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def classify_a_photo(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """Measure the endpoint's work for one JPEG as SerializeImage sends it: decode, classify, answer."""
    side = int(function_environment("serialize_image")["LONGEST_SIDE"])
    photo = encoded(draw("bicycle", FIRST_TEST_SEED, (side, side)), "JPEG", quality=90)
    model = inference.model_fn(str(model_dir))

    def answer() -> str:
        image = inference.input_fn(photo, "image/jpeg")
        return inference.output_fn(inference.predict_fn(image, model), "application/json")

    whole = "decode that photo", lambda: _decode_whole(photo, side)
    return compare((f"classify one {side}-pixel photo, one thread", answer), whole, rounds=rounds, tick=tick)


def load_the_model(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """Measure a new process until the model could answer, as a cold start does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(code: str) -> object:
        return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)

    code = f"from model_build.serving import inference; inference.model_fn({str(model_dir)!r})"
    load = "start Python and load the model", lambda: run(code)
    reference = "start Python and import onnxruntime", lambda: run("import onnxruntime")
    return compare(load, reference, rounds=rounds, tick=tick)


def shrink_phone_photos(rounds: int, tick: Tick) -> list[Result]:
    """Measure SerializeImage on 12 megapixels, as JPEG and as HEIC with a small copy of itself."""
    import pillow_heif  # noqa: PLC0415 - the function's own lock has it too

    pillow_heif.register_heif_opener()
    sys.path.insert(0, str(FUNCTIONS / "serialize_image"))
    function = importlib.import_module("photo").shrink
    settings = function_environment("serialize_image")
    side, most = int(settings["LONGEST_SIDE"]), int(settings["MAX_PIXELS"])
    jpeg, heic = phone_photo("JPEG", quality=90), phone_photo("HEIF", quality=60, thumbnails=[320])

    def shrink(photo: bytes) -> object:
        return function(photo, longest_side=side, max_pixels=most)

    def plainly() -> None:
        _decode_whole(jpeg, side).save(io.BytesIO(), "PNG")

    of_jpeg = "shrink a 12-megapixel photo (SerializeImage)", lambda: shrink(jpeg)
    of_heic = "shrink a 12-megapixel HEIC (SerializeImage)", lambda: shrink(heic)
    whole = "decode all of it, shrink, encode", plainly
    same = "shrink a JPEG of the same picture", of_jpeg[1]
    return [compare(*both, rounds=rounds, tick=tick) for both in ((of_jpeg, whole), (of_heic, same))]


def phone_photo(file_format: str, quality: int, **options: Any) -> bytes:
    """Return a file of 12 megapixels with the noise of a camera, which a drawing lacks."""
    drawn = np.asarray(draw("bicycle", FIRST_TEST_SEED, PHONE_PHOTO)).astype(np.int16)
    noise = np.random.default_rng(1).integers(-6, 7, drawn.shape)
    photo = Image.fromarray((drawn + noise).clip(0, 255).astype(np.uint8))
    return encoded(photo, file_format, quality=quality, **options)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _decode_whole(photo: bytes, side: int) -> Image.Image:
    """Read all pixels, then shrink: the plain way, as a reference."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image
