"""A person's profile, as it is answered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from beckon.values import DAY_MS, iso


@dataclass(frozen=True, slots=True)
class Evidence:
    """One deed that speaks for a tag: its source (a message id, or `order:<order id>`) and its `part` of the weight."""

    source: str
    kind: str
    item: str
    ts: int
    part: float


@dataclass(frozen=True, slots=True)
class Interest:
    """A tag (`Item.tags`), its share of all interest, and how rare it is: idf in nats.

    `evidence` has the strongest of `deeds` deeds; the parts of all of them sum to `weight`.
    """

    tag: str
    weight: float
    idf: float
    deeds: int
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A category or language and its share of the whole, 0..1."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class PriceBand:
    """Weighted quartiles of what was looked at and bought, in one currency.

    `rank` is the share of the shop's items in that currency that cost less than `middle`; None if none is known.
    """

    currency: str
    low: float
    middle: float
    high: float
    deeds: int
    rank: float | None


@dataclass(frozen=True, slots=True)
class Spending:
    """What came in and what went back, in one currency; `refunded` is not positive and net = spent + refunded."""

    currency: str
    spent: float
    refunded: float
    net: float


@dataclass(frozen=True, slots=True)
class Bought:
    """An item that was bought and kept: when last, and how many."""

    item: str
    title: str | None
    ts: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Habits:
    """Recency and frequency: times in UTC ms, None if never; `days` are distinct UTC dates with an event."""

    events: int = 0
    days: int = 0
    orders: int = 0
    first_seen: int | None = None
    last_seen: int | None = None
    last_purchase: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """All of it; empty for somebody unknown. `whole`: nothing of the kept history was left unread."""

    made: int
    half_life_ms: int
    habits: Habits = Habits()
    value: tuple[Spending, ...] = ()
    interests: tuple[Interest, ...] = ()
    categories: tuple[Share, ...] = ()
    prices: tuple[PriceBand, ...] = ()
    languages: tuple[Share, ...] = ()
    bought: tuple[Bought, ...] = ()
    whole: bool = True

    def to_record(self) -> dict[str, Any]:
        """Return the profile as plain JSON values, times as ISO-8601."""
        habits = self.habits
        return {
            "made": iso(self.made),
            "half_life_days": self.half_life_ms / DAY_MS,
            "whole": self.whole,
            "recency": {
                "first_seen": _time(habits.first_seen),
                "last_seen": _time(habits.last_seen),
                "last_purchase": _time(habits.last_purchase),
                "days_since_seen": self._days_since(habits.last_seen),
                "days_since_purchase": self._days_since(habits.last_purchase),
            },
            "frequency": {"events": habits.events, "days": habits.days, "orders": habits.orders},
            "value": [asdict(one) for one in self.value],
            "interests": [
                {
                    "tag": one.tag,
                    "weight": one.weight,
                    "idf": one.idf,
                    "deeds": one.deeds,
                    "evidence": [_timed(asdict(each)) for each in one.evidence],
                }
                for one in self.interests
            ],
            "categories": [asdict(one) for one in self.categories],
            "prices": [asdict(one) for one in self.prices],
            "language": self.languages[0].name if self.languages else None,
            "languages": [asdict(one) for one in self.languages],
            "bought": [_timed(asdict(one)) for one in self.bought],
        }

    def _days_since(self, ts: int | None) -> float | None:
        return None if ts is None else round(max(self.made - ts, 0) / DAY_MS, 3)


def _time(ts: int | None) -> str | None:
    return None if ts is None else iso(ts)


def _timed(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "ts": iso(record["ts"])}
