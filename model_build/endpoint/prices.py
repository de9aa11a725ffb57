"""List prices of AWS, each with its source and date, and those of SageMaker's hosting instances."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

INSTANCE_PRICES: Final = Path(__file__).with_name("prices.json")
HOURS_A_MONTH: Final = 730


@dataclass(frozen=True)
class Price:
    """A price.

    Attributes:
        usd: US dollars for one unit, which the price's name says.
        source: where AWS publishes it.
        date: when it was last compared, ISO 8601.
    """

    usd: float
    source: str
    date: str


@dataclass(frozen=True)
class PriceTable:
    """Prices of one region, as a JSON file has them.

    Attributes:
        region: the region.
        currency: ISO code.
        note: what the prices are and how they were compared.
        prices: by name.
    """

    region: str
    currency: str
    note: str
    prices: Mapping[str, Price]

    @classmethod
    def read(cls, path: Path) -> "PriceTable":
        """Read a table from a JSON file."""
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        prices = {name: Price(**price) for name, price in document.pop("prices").items()}
        return cls(**document, prices=prices)

    @property
    def date(self) -> str:
        """The date of the oldest price."""
        return min(price.date for price in self.prices.values())

    def usd(self, name: str) -> float:
        """Return a price in US dollars.

        Raises:
            KeyError: the table has no price of that name.
        """
        return self.prices[name].usd


@cache
def instance_prices() -> PriceTable:
    """Return the prices of an hour of an instance, by instance type."""
    return PriceTable.read(INSTANCE_PRICES)
