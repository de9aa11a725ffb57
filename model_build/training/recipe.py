"""The training recipe: every choice except the data that decides which network training produces.

Importable without PyTorch, so that every command can show its options.

The shipped model is what the default recipe makes of CIFAR-100's bicycles and motorcycles (1,000 training
images) with seven classes of CIFAR-10 as negatives. Seeds 0 to 4, one thread of a shared AMD EPYC core: 470
to 580 CPU-seconds each; accuracy on the 200 test images 0.965, 0.970, 0.970, 0.970 and 0.970; at threshold
0.85 a mean coverage of 0.923 with selective accuracy 0.982, and a false acceptance rate of 0.0004 on 1,400
negatives. Seed 0, the default, is shipped, regardless of the test images. MODEL_CARD.md has the details.
Choices were made by cross-validation and on photos that are not in the archives.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click

from commandline.options import EXISTING, NameList, VariadicOption
from model_build.archive.manifest import View
from model_build.errors import UsageError

DEFAULT_CLASSES: Final = ("bicycle", "motorcycle")
# How inference looks at a thumbnail (serving/inference.py): with some margin, averaged with its mirror image.
THUMBNAIL: Final = View(side=160, margin=0.1, mirror=True, temperature_scale=1.0, prior_weight=0.3)
LARGEST_THUMBNAIL: Final = 64  # pixels of the shorter side
# How pretrained networks classify photos, where each label is known to mean some of their outputs
# (training/pretrained_networks.py). The weight is the only number fitted to photos: multiplying odds takes
# the networks for independent, and below 1 says not quite. From 0.7 to 1 all but one or two of 197 answers
# are the same.
EXPERT_WEIGHT: Final = 0.8
EXPERT_FLOOR: Final = 1e-4
CLASSIFIER_SIDE: Final = 256
DETECTOR_SIDE: Final = 320


@dataclass(frozen=True)
class Bounds:
    """The values that a numeric option accepts."""

    low: float
    high: float
    above_low: bool = False
    below_high: bool = False
    multiple_of: int | None = None

    def __contains__(self, value: float) -> bool:
        """Return whether a value is accepted; NaN and infinity never are."""
        return (
            (isinstance(value, int) or math.isfinite(value))  # no float holds every int
            and (self.low < value if self.above_low else self.low <= value)
            and (value < self.high if self.below_high else value <= self.high)
            and (self.multiple_of is None or value % self.multiple_of == 0)
        )

    def __str__(self) -> str:
        """Return the bounds in words, such as `above 0, at most 1`."""
        low = f"above {self.low:,}" if self.above_low else f"from {self.low:,}"
        high = f", below {self.high:,}" if self.below_high else f" to {self.high:,}"
        multiple = f", a multiple of {self.multiple_of}" if self.multiple_of else ""
        return (
            low + (f", at most {self.high:,}" if self.above_low and not self.below_high else high) + multiple
        )

    def require(self, option: str, value: float) -> None:
        """Check the value of an option.

        Raises:
            UsageError: the value is out of bounds; the message names the option and its bounds.
        """
        if value not in self:
            raise UsageError(f"--{option} {str(value)[:LONGEST]}: must be a number {self}")


LONGEST: Final = 40  # characters of a number in a message
FRACTION: Final = Bounds(0, 1)
BELOW_ONE: Final = Bounds(0, 1, below_high=True)
RATE: Final = Bounds(0, 1, above_low=True)
PER_IMAGE: Final = Bounds(0, 100)
TIME_BUDGET: Final = Bounds(0, 30 * 86_400, above_low=True)  # seconds
FOLDS: Final = Bounds(2, 100)


def _option(default: Any, description: str, bounds: Bounds | None = None) -> Any:
    """Return a field of the recipe that is an option of the commands too."""
    return field(default=default, metadata={"description": description, "bounds": bounds})


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
    """The hyperparameters; the names are those of the options and of `recipe` in manifest.json.

    Raises:
        UsageError: a value is out of bounds.
    """

    seed: int = _option(0, "Random seed; equal seeds give equal models.", Bounds(0, 2**32 - 1))
    epochs: int = _option(12, "Epochs.", Bounds(1, 100_000))
    side: int = _option(
        128, "Height and width of the training images in pixels.", Bounds(32, 512, multiple_of=16)
    )
    frozen: int = _option(12, "Leading parts of the network, out of 18, that are not trained.", Bounds(0, 17))
    batch: int = _option(64, "Images per step.", Bounds(1, 4096))
    learning_rate: float = _option(5e-4, "Peak learning rate of the pretrained parts.", RATE)
    head_rate: float = _option(5e-3, "Peak learning rate of the output layer.", RATE)
    weight_decay: float = _option(0.05, "Weight decay of the output layer.", FRACTION)
    warmup: float = _option(0.1, "Fraction of the training in which the learning rate rises.", BELOW_ONE)
    label_smoothing: float = _option(0.05, "Label smoothing.", BELOW_ONE)
    dropout: float = _option(0.2, "Dropout before the output layer.", BELOW_ONE)
    averaging: float = _option(0.97, "EMA decay of the weights, applied every second step.", FRACTION)
    pretrained: float = _option(
        0.15, "Share of the pretrained weights in the final ones (WiSE-FT).", FRACTION
    )
    others: float = _option(2.0, "Negatives per labelled image in an epoch.", PER_IMAGE)
    drawn: float = _option(0.3, "Drawings per labelled image in an epoch.", PER_IMAGE)
    clutter: float = _option(0.25, "Textures without an object per labelled image in an epoch.", PER_IMAGE)
    compressed: float = _option(0.5, "Probability of JPEG compression per image.", FRACTION)
    bfloat16: bool = _option(True, "Compute the frozen parts in bfloat16, faster on CPUs that support it.")
    threads: int = _option(
        1, "Threads to compute with; another number gives another, equally good model.", Bounds(1, 256)
    )
    temperature: float = _option(
        0.7, "Temperature that divides the logits; see cross-validate.", Bounds(0.01, 100)
    )
    threshold: float = _option(0.85, "Default confidence threshold of the model.", FRACTION)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Check every value."""
        for one in recipe_fields():
            bounds: Bounds | None = one.metadata["bounds"]
            if bounds is not None:
                bounds.require(one.name.replace("_", "-"), getattr(self, one.name))

    def changes(self) -> dict[str, str]:
        """Return the values that differ from the defaults, as text, by name."""
        default = Recipe()
        return {
            one.name: str(getattr(self, one.name)).lower()
            for one in recipe_fields()
            if getattr(self, one.name) != getattr(default, one.name)
        }


def recipe_fields() -> Iterator["dataclasses.Field[Any]"]:
    """Yield the fields of the recipe that are options."""
    return (one for one in dataclasses.fields(Recipe) if "description" in one.metadata)


def parse_recipe(texts: Mapping[str, str]) -> Recipe:
    """Return the recipe with the given values, which are text as in SageMaker's hyperparameters.

    Raises:
        UsageError: a name is unknown, or a value is not of the field's type or out of bounds.
    """
    fields = {one.name: one for one in recipe_fields()}
    values: dict[str, Any] = {}
    for given, text in texts.items():
        name = given.replace("-", "_")
        if name not in fields:
            raise UsageError(f"unknown hyperparameter {given}: choose one of {', '.join(fields)}")
        values[name] = _parse(name, text, type(fields[name].default))
    return Recipe(**values)


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in {"true", "false"}:
            raise UsageError(f"hyperparameter {name}={text}: must be true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        expected = "an integer" if kind is int else "a number"
        raise UsageError(f"hyperparameter {name}={text}: must be {expected}") from None


Command = TypeVar("Command", bound=Callable[..., Any])

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
    for one in reversed(list(recipe_fields())):
        bounds = one.metadata["bounds"]
        description = one.metadata["description"]
        command = click.option(
            f"--{one.name.replace('_', '-')}",
            one.name,
            type=type(one.default),
            default=one.default,
            help=f"{description}  [{bounds}]" if bounds else description,
        )(command)
    return command
