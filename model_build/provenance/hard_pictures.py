"""Draw what the model is often wrong about, for the table in docs/model.md: run this as a module."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image

from model_build.data.drawings import FIRST_TEST_SEED
from model_build.data.drawings import draw as draw_vehicle
from model_build.learning import features
from tests.support import small_wheels
from tests.support.sam_app import ROOT

FOLDER: Final = ROOT / "docs" / "images"
SIZE: Final = (160, 120)


def _made_worse(kind: str, copy: features.Copy) -> Callable[[], Image.Image]:
    random = np.random.default_rng(0)
    return lambda: copy(draw_vehicle(kind, FIRST_TEST_SEED, SIZE), random)


PICTURES: Final[Mapping[str, Callable[[], Image.Image]]] = {
    "wheels": lambda: small_wheels.draw("kick scooter", 3, SIZE),
    "moved": _made_worse("motorcycle", features.moved),
    "unfocused": _made_worse("bicycle", features.unfocused),
    "dark": _made_worse("motorcycle", features.dark),
    "small": _made_worse("bicycle", features.small),
    "turned": lambda: draw_vehicle("bicycle", FIRST_TEST_SEED, SIZE).transpose(Image.Transpose.ROTATE_90),
}


def main() -> None:
    """Write the pictures, all of one height."""
    for name, make in PICTURES.items():
        picture = make()
        shown = picture.resize(
            (round(picture.width * SIZE[1] / picture.height), SIZE[1]), Image.Resampling.BOX
        )
        shown.quantize(64).save(FOLDER / f"hard_{name}.png", optimize=True)


if __name__ == "__main__":
    main()
