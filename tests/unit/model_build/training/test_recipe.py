"""The values that hyperparameters take, at their edges, and recipes from text."""

from typing import Any

import click
import pytest

from model_build.training.recipe import RECIPE_FIELDS, Recipe

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
    kinds = {one.name: one.metadata["type"] for one in RECIPE_FIELDS if not isinstance(one.default, bool)}
    assert set(EDGES) == set(kinds)
    for name, edges in EDGES.items():
        for accepted, refused in edges:
            assert kinds[name].convert(str(accepted), None, None) == accepted, name
            with pytest.raises(click.BadParameter):
                kinds[name].convert(str(refused), None, None)


def test_every_default_is_accepted_and_no_number_is_infinite() -> None:
    for one in RECIPE_FIELDS:
        kind = one.metadata["type"]
        assert kind.convert(str(one.default), None, None) == one.default
        for value in ("inf", "-inf", "nan"):
            with pytest.raises(click.BadParameter):
                kind.convert(value, None, None)


def test_what_differs_from_the_defaults_is_text() -> None:
    assert Recipe(epochs=80, bfloat16=False).changes() == {"epochs": "80", "bfloat16": "false"}
    assert Recipe().changes() == {}
