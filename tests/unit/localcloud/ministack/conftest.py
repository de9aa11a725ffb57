"""Repairs that end with their test."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from localcloud.ministack.repairs import Repairs


@pytest.fixture
def repair(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Apply repairs; what they replace in these modules and classes is there again after the test."""

    def apply(repairs: Repairs, *changed: Any) -> None:
        for module in changed:
            for name, value in list(vars(module).items()):
                if inspect.isfunction(value) or isinstance(value, str):
                    monkeypatch.setattr(module, name, value)
        repairs.apply()

    return apply
