"""What is measured in this process: an answer of the model, loading it, a phone photo."""

import importlib.util
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
from PIL import Image

from bench.parameters import ROOT, function_environments
from bench.timing import Case, Result, compare, in_fresh_process
from model_build.data.drawings import FIRST_TEST_SEED, draw
from model_build.serving import inference

FUNCTIONS = ROOT / "functions"
PHONE_PHOTO = (4000, 3000)  # 12 megapixels
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
    """Measure SerializeImage's work on a 12-megapixel HEIC."""
    import pillow_heif  # noqa: PLC0415 - the function's own lock has it too

    pillow_heif.register_heif_opener()
    shrink, photo, jpeg = _shrinking(), phone_photo("HEIF", quality=60), phone_photo("JPEG", quality=90)
    return compare(
        Case("shrink a 12-megapixel HEIC (SerializeImage)", lambda: shrink(photo)),
        Case("shrink a JPEG of the same picture", lambda: shrink(jpeg)),
        rounds=rounds,
        tick=tick,
    )


# Linux counts the parent's memory into a new process's ru_maxrss; its VmHWM begins with the program.
_PEAK: Final = (
    'int(re.search(r"VmHWM: *\\s*(\\d+)", Path("/proc/self/status").read_text())[1])'
    if sys.platform == "linux"
    else "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss"
)


def peak_memory(file_format: str) -> float:
    """Return the peak memory in MB of a new process that shrinks a 12-megapixel photo."""
    with tempfile.NamedTemporaryFile(suffix=".photo") as file:
        file.write(phone_photo(file_format, quality=90))
        file.flush()
        code = (
            "import re, resource, photo; from pathlib import Path; "
            f"photo.shrink(Path({file.name!r}).read_bytes(), "
            f"longest_side={_longest_side()}, max_pixels=10**8); "
            f"print({_PEAK})"
        )
        folder = FUNCTIONS / "serialize_image"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True
        )
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return round(int(done.stdout) / unit, 1)


def _shrinking() -> Callable[[bytes], object]:
    """Return SerializeImage's work on the bytes of a photo."""
    shrink = _module_of(FUNCTIONS / "serialize_image", "photo").shrink
    max_pixels = int(function_environments()["serialize_image"]["MAX_PIXELS"])
    side = _longest_side()
    return lambda photo: shrink(photo, longest_side=side, max_pixels=max_pixels)


def _longest_side() -> int:
    return int(function_environments()["serialize_image"]["LONGEST_SIDE"])


def phone_photo(file_format: str, quality: int) -> bytes:
    """Return a file of 12 megapixels with the noise of a camera, which a drawing lacks."""
    drawn = np.asarray(draw("bicycle", FIRST_TEST_SEED, PHONE_PHOTO)).astype(np.int16)
    noise = np.random.default_rng(1).integers(-6, 7, drawn.shape)
    buffer = io.BytesIO()
    Image.fromarray((drawn + noise).clip(0, 255).astype(np.uint8)).save(buffer, file_format, quality=quality)
    return buffer.getvalue()


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
