"""The bounds of every hyperparameter, at their edges, and recipes from text."""

import math
from typing import Any

import pytest

from model_build.errors import UsageError
from model_build.training.recipe import Bounds, Recipe, parse_recipe, recipe_fields

EDGES: dict[str, tuple[tuple[float, float], ...]] = {  # accepted and refused
    "seed": ((0, -1), (2**32 - 1, 2**32)),
    "epochs": ((1, 0), (100_000, 100_001)),
    "side": ((32, 16), (512, 528), (144, 136), (144, 143)),
    "frozen": ((0, -1), (17, 18)),
    "batch": ((1, 0), (4096, 4097)),
    "learning_rate": ((1e-9, 0), (1, 1.001)),
    "head_rate": ((1e-9, 0), (1, 1.001)),
    "weight_decay": ((0, -0.001), (1, 1.001)),
    "warmup": ((0, -0.001), (0.999, 1)),
    "label_smoothing": ((0, -0.001), (0.999, 1)),
    "dropout": ((0, -0.001), (0.999, 1)),
    "averaging": ((0, -0.001), (1, 1.001)),
    "pretrained": ((0, -0.001), (1, 1.001)),
    "others": ((0, -0.001), (100, 100.1)),
    "drawn": ((0, -0.001), (100, 100.1)),
    "clutter": ((0, -0.001), (100, 100.1)),
    "compressed": ((0, -0.001), (1, 1.001)),
    "threads": ((1, 0), (256, 257)),
    "temperature": ((0.01, 0.009), (100, 100.1)),
    "threshold": ((0, -0.001), (1, 1.001)),
}


def recipe(name: str, value: Any) -> Recipe:
    values: dict[str, Any] = {name: value}
    return Recipe(**values)


@pytest.mark.parametrize(
    ("name", "accepted", "refused"), [(name, *edge) for name, edges in EDGES.items() for edge in edges]
)
def test_each_value_is_accepted_up_to_its_bound(name: str, accepted: float, refused: float) -> None:
    assert getattr(recipe(name, accepted), name) == accepted
    option = name.replace("_", "-")
    with pytest.raises(UsageError, match=f"--{option} {refused}: must be a number"):
        recipe(name, refused)


def test_a_number_that_no_float_holds_is_out_of_bounds() -> None:
    with pytest.raises(UsageError, match=r"^--epochs 10{39}: must be a number from 1"):
        recipe("epochs", 10**400)


def test_every_number_has_bounds_and_edges() -> None:
    numbers = {one.name for one in recipe_fields() if not isinstance(one.default, bool)}
    assert {one.name for one in recipe_fields() if one.metadata["bounds"]} == numbers
    assert set(EDGES) == numbers


@pytest.mark.parametrize("name", [one.name for one in recipe_fields() if isinstance(one.default, float)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_finite_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} -?(nan|inf)"):
        recipe(name, value)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(0, 1), "from 0 to 1"),
        (Bounds(0, 1, above_low=True), "above 0, at most 1"),
        (Bounds(0, 1, below_high=True), "from 0, below 1"),
        (Bounds(0, 1, above_low=True, below_high=True), "above 0, below 1"),
        (Bounds(32, 512, multiple_of=16), "from 32 to 512, a multiple of 16"),
    ],
)
def test_bounds_in_words(bounds: Bounds, words: str) -> None:
    assert str(bounds) == words


def test_hyperparameters_are_text_and_may_have_hyphens() -> None:
    given = {"epochs": "80", "learning-rate": "1e-4", "bfloat16": "False"}
    assert parse_recipe(given) == Recipe(epochs=80, learning_rate=1e-4, bfloat16=False)
    assert parse_recipe(Recipe(epochs=80, bfloat16=False).changes()) == Recipe(epochs=80, bfloat16=False)
    assert Recipe().changes() == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": "many"}, "hyperparameter epochs=many: must be an integer"),
        ({"epochs": "1.5"}, "hyperparameter epochs=1.5: must be an integer"),
        ({"dropout": "x"}, "hyperparameter dropout=x: must be a number"),
        ({"bfloat16": "1"}, "hyperparameter bfloat16=1: must be true or false"),
        ({"speed": "3"}, "unknown hyperparameter speed: choose one of seed, epochs"),
        ({"epochs": "0"}, "--epochs 0: must be a number from 1 to 100,000"),
        ({"dropout": "nan"}, "--dropout nan: must be a number from 0, below 1"),
    ],
)
def test_what_is_wrong_with_a_hyperparameter_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_recipe(given)
