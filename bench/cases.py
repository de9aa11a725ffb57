"""The benchmarks: an answer of the model, loading it, a phone photo, and each function's cold start."""

import importlib.util
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from PIL import Image

from bench.parameters import ROOT, function_environments
from bench.timing import Case, Result, compare, in_fresh_process
from model_build.data.drawings import FIRST_TEST_SEED, draw
from model_build.serving import inference

FUNCTIONS = ROOT / "functions"
PHONE_PHOTO = (4000, 3000)  # 12 megapixels
THUMBNAIL = 32  # pixels
Tick = Callable[[], object]


def classify_a_photo(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """Measure the endpoint's work for one JPEG as SerializeImage sends it: decode, classify, answer."""
    side = int(function_environments()["serialize_image"]["LONGEST_SIDE"])
    photo = _jpeg((side, side))
    return compare(
        Case(f"classify one {side}-pixel photo, one thread", _classification(model_dir, photo)),
        Case("decode that photo", lambda: _decode_whole(photo, side)),
        rounds=rounds,
        tick=tick,
    )


def classify_a_thumbnail(model_dir: Path, rounds: int, tick: Tick) -> Result:
    """Measure the endpoint's work for a thumbnail, which the trained network classifies, and for a photo."""
    side = int(function_environments()["serialize_image"]["LONGEST_SIDE"])
    return compare(
        Case(
            f"classify one {THUMBNAIL}-pixel thumbnail, one thread",
            _classification(model_dir, _jpeg((THUMBNAIL, THUMBNAIL))),
        ),
        Case(f"classify one {side}-pixel photo", _classification(model_dir, _jpeg((side, side)))),
        rounds=rounds,
        tick=tick,
    )


def _classification(model_dir: Path, jpeg: bytes) -> Callable[[], str]:
    """Return what an endpoint does with one request."""
    model = inference.model_fn(str(model_dir))

    def answer() -> str:
        image = inference.input_fn(jpeg, "image/jpeg")
        return inference.output_fn(inference.predict_fn(image, model), "application/json")

    return answer


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
    imaging = _module_of(FUNCTIONS / "serialize_image", "imaging")
    limits = function_environments()["serialize_image"]
    side, max_pixels = int(limits["LONGEST_SIDE"]), int(limits["MAX_PIXELS"])
    photo = _jpeg(PHONE_PHOTO)
    return compare(
        Case(
            "shrink a 12-megapixel photo (SerializeImage)",
            lambda: imaging.shrink(photo, longest_side=side, max_pixels=max_pixels),
        ),
        Case("decode all of it, then shrink", lambda: _decode_whole(photo, side)),
        rounds=rounds,
        tick=tick,
    )


def cold_start(function: str, rounds: int, tick: Tick) -> Result:
    """Measure importing a function's handler in a new interpreter."""
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", **function_environments()[function]}
    folder = FUNCTIONS / function
    return compare(
        Case(f"cold start of {function}", in_fresh_process("import app", folder, environment)),
        Case("start Python and import boto3", in_fresh_process("import boto3", folder, environment)),
        rounds=rounds,
        tick=tick,
    )


def _jpeg(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    draw("bicycle", FIRST_TEST_SEED, size).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _decode_whole(photo: bytes, side: int) -> Image.Image:
    """Read all pixels, then shrink: the plain way, as a reference."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _module_of(folder: Path, name: str) -> ModuleType:
    """Import one module of a function's folder, where names such as `errors` are the folder's own."""
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
