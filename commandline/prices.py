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
    """US dollars for the unit that the price's name says; `date` (ISO 8601): when it was last compared."""

    usd: float
    source: str
    date: str


@dataclass(frozen=True)
class PriceTable:
    """Prices of one region by name, as a JSON file has them; `note` says how they were compared."""

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
        """Return a price in US dollars; KeyError if there is none of that name."""
        return self.prices[name].usd


@cache
def instance_prices() -> PriceTable:
    """Return the prices of an hour of an instance, by instance type."""
    return PriceTable.read(INSTANCE_PRICES)
