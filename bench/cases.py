"""What is measured in this process: an answer of the model, loading it, a phone photo."""

import importlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.timing import Case, Result, compare, in_fresh_process
from model_build.data.drawings import FIRST_TEST_SEED, draw
from model_build.serving import inference
from tests.support.sam_app import FUNCTIONS, ROOT, function_environment

PHONE_PHOTO = (4000, 3000)  # 12 megapixels
Tick = Callable[[], object]


def classify_a_photo(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """Measure the endpoint's work for one JPEG as SerializeImage sends it: decode, classify, answer."""
    side = _longest_side()
    photo = encoded(draw("bicycle", FIRST_TEST_SEED, (side, side)), "JPEG", quality=90)
    model = inference.model_fn(str(model_dir))

    def answer() -> str:
        image = inference.input_fn(photo, "image/jpeg")
        return inference.output_fn(inference.predict_fn(image, model), "application/json")

    return compare(
        Case(f"classify one {side}-pixel photo, one thread", answer),
        Case("decode that photo", lambda: _decode_whole(photo, side)),
        rounds=rounds,
        tick=tick,
    )


def load_the_model(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """Measure a new process until the model could answer."""
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
    """Measure SerializeImage's work on 12 megapixels."""
    shrink, side, photo = _shrinking(), _longest_side(), phone_photo("JPEG", quality=90)
    return compare(
        Case("shrink a 12-megapixel photo (SerializeImage)", lambda: shrink(photo)),
        Case(
            "decode all of it, shrink, encode", lambda: _decode_whole(photo, side).save(io.BytesIO(), "PNG")
        ),
        rounds=rounds,
        tick=tick,
    )


def shrink_a_heic(rounds: int, tick: Tick) -> Result:
    """Measure SerializeImage on a 12-megapixel HEIC with a small copy of itself, as iPhones make them."""
    import pillow_heif  # noqa: PLC0415 - the function's own lock has it too

    pillow_heif.register_heif_opener()
    photo, jpeg = phone_photo("HEIF", quality=60, thumbnails=[320]), phone_photo("JPEG", quality=90)
    shrink = _shrinking()
    return compare(
        Case("shrink a 12-megapixel HEIC (SerializeImage)", lambda: shrink(photo)),
        Case("shrink a JPEG of the same picture", lambda: shrink(jpeg)),
        rounds=rounds,
        tick=tick,
    )


def _shrinking() -> Callable[[bytes], object]:
    """Return SerializeImage's work on the bytes of a photo."""
    sys.path.insert(0, str(FUNCTIONS / "serialize_image"))
    shrink = importlib.import_module("photo").shrink
    settings = function_environment("serialize_image")
    side, most = int(settings["LONGEST_SIDE"]), int(settings["MAX_PIXELS"])
    return lambda photo: shrink(photo, longest_side=side, max_pixels=most)


def _longest_side() -> int:
    return int(function_environment("serialize_image")["LONGEST_SIDE"])


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
