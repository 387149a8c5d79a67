"""An item of the catalogue."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import floor, log2
from typing import Any

PRICE_STEPS = 2  # an octave of price: prices within 41 % of each other may share a step


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on sale, in any language. Variants share a `parent_id`. `updated` is UTC ms of the last change.

    `attributes` maps a name to a text, a number, a boolean or a list of texts.
    """

    shop: str
    id: str
    title: str
    updated: int
    parent_id: str | None = None
    description: str | None = None
    categories: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    price: float | None = None
    currency: str | None = None
    available: bool = True
    image: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the item as plain JSON values; absent fields are left out."""
        return {name: value for name, value in asdict(self).items() if value not in (None, (), {})}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Item":
        """Return the item `to_record` wrote; fields a newer version added are ignored."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        return cls(**(known | {"categories": tuple(record.get("categories", ()))}))

    def tags(self) -> tuple[str, ...]:
        """Return what the item is called, sorted: `category=…` and `<attribute name>=<value>`, each once."""
        found = {f"category={category}" for category in self.categories}
        for name, value in self.attributes.items():
            values = value if isinstance(value, list | tuple) else (value,)
            found.update(f"{name}={one}" for one in values)
        return tuple(sorted(found))

    def tokens(self) -> tuple[str, ...]:
        """Return the item's content as sorted tokens: its tags, and the two steps of price it stands on.

        Of steps ⌊2·log₂ price⌋ and ⌊2·log₂ price + ½⌋ in its currency, items within a quarter octave (19 %) share at
        least one, and none beyond a half (41 %).

        Learning counts these and a scorer looks them up for items newer than the model, so both must agree.
        """
        return tuple(sorted({*self.tags(), *self._price_steps()}))

    def _price_steps(self) -> tuple[str, ...]:
        if self.price is None or not self.price > 0:
            return ()
        step, currency = PRICE_STEPS * log2(self.price), self.currency or ""
        return f"price={currency}:{floor(step)}", f"price={currency}:{floor(step + 0.5)}+"
