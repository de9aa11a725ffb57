"""The values that hyperparameters take, at their edges, and recipes from text."""

from typing import Any

import click
import pytest

from model_build.errors import UsageError
from model_build.training.recipe import Recipe, parse_recipe, recipe_fields

EDGES: dict[str, tuple[tuple[Any, Any], ...]] = {  # accepted and refused
    "seed": ((0, -1), (2**32 - 1, 2**32)),
    "epochs": ((1, 0), (100_000, 100_001), (100_000, 10**400)),
    "side": ((32, 16), (512, 528), (144, 136), (144, 143)),
    "frozen": ((0, -1), (17, 18)),
    "batch": ((1, 0), (4096, 4097)),
    **dict.fromkeys(("learning_rate", "head_rate"), ((1e-9, 0), (1, 1.001))),
    **dict.fromkeys(("warmup", "label_smoothing", "dropout"), ((0, -0.001), (0.999, 1))),
    **dict.fromkeys(("others", "drawn", "clutter"), ((0, -0.001), (100, 100.1))),
    **dict.fromkeys(("weight_decay", "averaging", "pretrained"), ((0, -0.001), (1, 1.001))),
    **dict.fromkeys(("compressed", "threshold"), ((0, -0.001), (1, 1.001))),
    "threads": ((1, 0), (256, 257)),
    "temperature": ((0.01, 0.009), (100, 100.1)),
}


def test_each_number_is_accepted_up_to_its_bounds() -> None:
    kinds = {one.name: one.metadata["type"] for one in recipe_fields() if not isinstance(one.default, bool)}
    assert set(EDGES) == set(kinds)
    for name, edges in EDGES.items():
        for accepted, refused in edges:
            assert kinds[name].convert(str(accepted), None, None) == accepted, name
            with pytest.raises(click.BadParameter):
                kinds[name].convert(str(refused), None, None)


def test_every_default_is_accepted_and_no_number_is_infinite() -> None:
    for one in recipe_fields():
        kind = one.metadata["type"]
        assert kind.convert(str(one.default), None, None) == one.default
        for value in ("inf", "-inf", "nan"):
            with pytest.raises(click.BadParameter):
                kind.convert(value, None, None)


def test_hyperparameters_are_text_and_may_have_hyphens() -> None:
    given = {"epochs": "80", "learning-rate": "1e-4", "bfloat16": "False"}
    assert parse_recipe(given) == Recipe(epochs=80, learning_rate=1e-4, bfloat16=False)
    assert parse_recipe(Recipe(epochs=80, bfloat16=False).changes()) == Recipe(epochs=80, bfloat16=False)
    assert parse_recipe({"side": "144"}) == Recipe(side=144)
    assert Recipe().changes() == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": "1.5"}, "hyperparameter epochs: '1.5' is not a valid integer"),
        ({"dropout": "x"}, "hyperparameter dropout: 'x' is not a valid float"),
        ({"bfloat16": "perhaps"}, "hyperparameter bfloat16: 'perhaps' is not a valid boolean"),
        ({"speed": "3"}, "unknown hyperparameter speed: choose one of seed, epochs"),
        ({"epochs": "0"}, "hyperparameter epochs: 0 is not in the range 1<=x<=100000"),
        ({"dropout": "1"}, "hyperparameter dropout: 1.0 is not in the range 0<=x<1"),
        ({"learning_rate": "0"}, "hyperparameter learning_rate: 0.0 is not in the range 0<x<=1"),
        ({"side": "136"}, "hyperparameter side: '136' is not a multiple of 16"),
        ({"side": "16"}, "hyperparameter side: 16 is not in the range 32<=x<=512"),
    ],
)
def test_what_is_wrong_with_a_hyperparameter_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_recipe(given)
