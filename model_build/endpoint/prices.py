"""List prices of SageMaker's hosting instances."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PRICES: Final = Path(__file__).with_name("prices.json")
HOURS_A_MONTH: Final = 730


@dataclass(frozen=True)
class InstancePrices:
    """The price table of hosting instances.

    Attributes:
        region: the region that the prices are of.
        currency: ISO code.
        date: when they were last checked, ISO 8601.
        source: from where they are.
        instance_hour: price of an hour by instance type.
    """

    region: str
    currency: str
    date: str
    source: str
    instance_hour: dict[str, float]


@cache
def instance_prices() -> InstancePrices:
    """Return the price table."""
    return InstancePrices(**json.loads(PRICES.read_text(encoding="utf-8")))
