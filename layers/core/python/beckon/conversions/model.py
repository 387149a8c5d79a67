"""Exposures (what was served), and outcomes (what came of it) with their credits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

KINDS = ("click", "cart", "purchase", "refund")
ORDER = "order:"  # begins the source of an outcome that an order's line brought


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a served list; `position` counts from 1, `propensity` is the chance it had to be shown there."""

    item: str
    position: int
    score: float
    final_score: float
    propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class Exposure:
    """A list that was served to one person, with what is needed to learn from it later.

    `history` is how many items of the past the graph was sent, which probabilities depend on.
    """

    shop: str
    rec_id: str
    user_key: str
    surface: str
    policy: str
    model_id: str | None
    ts: int
    slots: tuple[Slot, ...]
    experiment: str | None = None
    variant: str | None = None
    assignment_probability: float | None = None
    history: int | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the exposure as plain JSON values; absent fields are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Exposure":
        """Return the exposure `to_record` wrote; fields a newer version added are ignored."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        slots = tuple(Slot(**{n: s[n] for n in Slot.__slots__ if n in s}) for s in record["slots"])
        return cls(**({"model_id": None} | known | {"slots": slots}))


@dataclass(frozen=True, slots=True)
class Credit:
    """The share (0..1) of an outcome that one exposure earned, and by which rule."""

    rec_id: str
    share: float
    attribution: str
    surface: str
    policy: str
    model_id: str | None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Something of worth that a person did, keyed by source event × item × kind; credits may be empty.

    `source` is the event's message id, or `order:<order id>` so that two reports of one order count once.
    `value` is the money of the whole line (price × quantity), negative for a refund; None when none was sent.
    """

    shop: str
    user_key: str
    source: str
    item: str
    kind: str
    ts: int
    value: float | None
    currency: str | None
    quantity: int
    credits: tuple[Credit, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the outcome as plain JSON values; absent fields are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Outcome":
        """Return the outcome `to_record` wrote."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        shares = tuple(Credit(**({"model_id": None} | credit)) for credit in record["credits"])
        return cls(**({"value": None, "currency": None} | known | {"credits": shares}))
