"""The training recipe: every choice except the data that decides which network training produces.

Importable without PyTorch, so that every command can show its options. Choices were made by cross-validation
and on photos that are not in the archives; MODEL_CARD.md has the figures of the shipped model, which is what
the defaults make of both CIFAR archives, and those of other seeds.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import click

from commandline.options import EXISTING, PROBABILITY, Command, FiniteRange, NameList, VariadicOption
from model_build.archive.manifest import View

DEFAULT_CLASSES: Final = ("bicycle", "motorcycle")
# How inference looks at a thumbnail (serving/inference.py): with some margin, averaged with its mirror image.
THUMBNAIL: Final = View(side=160, margin=0.1, mirror=True, temperature_scale=1.0, prior_weight=0.3)
LARGEST_THUMBNAIL: Final = 64  # pixels of the shorter side
# How pretrained networks classify photos (training/pretrained_networks.py). The weight is the only number
# fitted to photos: multiplying odds takes the networks for independent, and below 1 says not quite. From 0.7
# to 1 all but one or two of 197 answers are the same.
EXPERT_WEIGHT: Final = 0.8
EXPERT_FLOOR: Final = 1e-4
CLASSIFIER_SIDE: Final = 256
DETECTOR_SIDE: Final = 320
SIDE_STEP: Final = 16  # pixels


class SideType(click.IntRange):
    """Pixels of a side that the network's strides divide."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the number; fail on any that is not a multiple of `SIDE_STEP`."""
        side = super().convert(value, param, ctx)
        if side % SIDE_STEP:
            self.fail(f"{value!r} is not a multiple of {SIDE_STEP}", param, ctx)
        return side


BELOW_ONE: Final = FiniteRange(0, 1, max_open=True)
RATE: Final = FiniteRange(0, 1, min_open=True)
PER_IMAGE: Final = FiniteRange(0, 100)


def _option(default: Any, kind: click.ParamType, description: str) -> Any:
    """Return a field of the recipe that is an option of the commands too."""
    return field(default=default, metadata={"type": kind, "help": description})


@dataclass(frozen=True)
class Augmentation:
    """How strongly training images are changed; each `*_share` is a probability per image."""

    light: float = 0.3
    night_share: float = 0.1
    grey_share: float = 0.08
    cutout: float = 0.31
    occlude_share: float = 0.5
    shift: float = 0.125
    turn_share: float = 0.6
    turn: float = 20.0
    zoom_out: float = 0.45
    zoom_in: float = 1.4
    paste_share: float = 0.5
    blur_share: float = 0.15
    sharp_share: float = 0.3
    noise_share: float = 0.15


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters; the names are those of the options and of `recipe` in manifest.json."""

    seed: int = _option(0, click.IntRange(0, 2**32 - 1), "Random seed; equal seeds give equal models.")
    epochs: int = _option(12, click.IntRange(1, 100_000), "Epochs.")
    side: int = _option(
        128, SideType(32, 512), "Height and width of the training images in pixels, a multiple of 16."
    )
    frozen: int = _option(
        12, click.IntRange(0, 17), "Leading parts of the network, out of 18, that are not trained."
    )
    batch: int = _option(64, click.IntRange(1, 4096), "Images per step.")
    learning_rate: float = _option(5e-4, RATE, "Peak learning rate of the pretrained parts.")
    head_rate: float = _option(5e-3, RATE, "Peak learning rate of the output layer.")
    weight_decay: float = _option(0.05, PROBABILITY, "Weight decay of the output layer.")
    warmup: float = _option(0.1, BELOW_ONE, "Fraction of the training in which the learning rate rises.")
    label_smoothing: float = _option(0.05, BELOW_ONE, "Label smoothing.")
    dropout: float = _option(0.2, BELOW_ONE, "Dropout before the output layer.")
    averaging: float = _option(0.97, PROBABILITY, "EMA decay of the weights, applied every second step.")
    pretrained: float = _option(
        0.15, PROBABILITY, "Share of the pretrained weights in the final ones (WiSE-FT)."
    )
    others: float = _option(2.0, PER_IMAGE, "Negatives per labelled image in an epoch.")
    drawn: float = _option(0.3, PER_IMAGE, "Drawings per labelled image in an epoch.")
    clutter: float = _option(0.25, PER_IMAGE, "Textures without an object per labelled image in an epoch.")
    compressed: float = _option(0.5, PROBABILITY, "Probability of JPEG compression per image.")
    bfloat16: bool = _option(
        True, click.BOOL, "Compute the frozen parts in bfloat16, faster on CPUs that support it."
    )
    threads: int = _option(
        1,
        click.IntRange(1, 256),
        "Threads to compute with; another number gives another, equally good model.",
    )
    temperature: float = _option(
        0.7, FiniteRange(0.01, 100), "Temperature that divides the logits; see cross-validate."
    )
    threshold: float = _option(0.85, PROBABILITY, "Default confidence threshold of the model.")
    augmentation: Augmentation = field(default_factory=Augmentation)

    def changes(self) -> dict[str, str]:
        """Return the values that differ from the defaults, as text, by name."""
        values = {one: getattr(self, one.name) for one in RECIPE_FIELDS}
        return {one.name: str(value).lower() for one, value in values.items() if value != one.default}


RECIPE_FIELDS: Final = tuple(one for one in dataclasses.fields(Recipe) if one.metadata)  # which are options


# SageMaker's hyperparameters are named with underscores, options with hyphens: accept both.
UNDERSCORES: Final[dict[str, Any]] = {"token_normalize_func": lambda name: name.replace("_", "-")}

classes_option = click.option(
    "--classes",
    type=NameList(),
    default=",".join(DEFAULT_CLASSES),
    help="Classes to tell apart, in label order; images of all other classes are negatives.",
)


def data_option(description: str) -> Callable[[Command], Command]:
    """Return the option `--data` of a command."""
    return click.option("--data", cls=VariadicOption, type=EXISTING, metavar="PATH...", help=description)


def recipe_options(command: Command) -> Command:
    """Add one option for each field of the recipe."""
    for one in reversed(RECIPE_FIELDS):
        flag = f"--{one.name.replace('_', '-')}"
        command = click.option(flag, one.name, default=one.default, **one.metadata)(command)
    return command
