"""List prices of AWS, each with its source and date, and those of SageMaker's hosting instances."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

REGION: Final = "us-east-1"  # of all prices
HOURS_A_MONTH: Final = 730


@dataclass(frozen=True)
class Price:
    """US dollars for the unit that the price's name says; `date` (ISO 8601): when it was last compared."""

    usd: float
    source: str
    date: str


def read_prices(path: Path) -> dict[str, Price]:
    """Return the prices of a JSON file by name; its `note` says how they were compared."""
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["prices"]
    return {name: Price(**price) for name, price in found.items()}


def oldest(prices: Mapping[str, Price]) -> str:
    """Return the date of the oldest price."""
    return min(price.date for price in prices.values())


@cache
def instance_prices() -> dict[str, Price]:
    """Return the prices of an hour of an instance, by instance type."""
    return read_prices(Path(__file__).with_name("prices.json"))
