"""What is asked of ranking, and what it answers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

type Surface = Literal["home", "similar", "cart", "rerank", "trending"]
type ReasonKind = Literal["history", "need", "prior"]

REC_ID_ENTROPY = 10  # bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a list, checked: `item` is the seed of `similar`, `items` the cart or the list to rerank.

    `items` are distinct and in the caller's order. `exclude` never appears in the answer.
    """

    surface: Surface
    k: int
    item: str | None = None
    items: tuple[str, ...] = ()
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reason:
    """One additive part of a score: an item of the history, the need, or the prior."""

    kind: ReasonKind
    part: float
    item: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the reason as plain JSON values; only a part of the history names an item."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Ranked:
    """One place of the list. The parts of `reasons` sum to `score`; `adjustments` lead from it to `final_score`."""

    id: str
    score: float
    final_score: float
    probability: float | None
    reasons: tuple[Reason, ...]
    adjustments: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The list, by which policy it was made, and what its reader should know about it.

    `history`: of how many items of the past, or of the request, it was made.
    """

    items: tuple[Ranked, ...]
    policy: str
    note: str | None = None
    history: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """The answer, and the fields it adds to the request's log line."""

    rec_id: str
    model_id: str | None
    surface: Surface
    ranking: Ranking
    log: Mapping[str, Any]

    def to_record(self) -> dict[str, Any]:
        """Return the answer as plain JSON values; `variant` is null outside an experiment."""
        record: dict[str, Any] = {
            "rec_id": self.rec_id,
            "model_id": self.model_id,
            "variant": None,
            "surface": self.surface,
            "items": [
                {
                    "id": one.id,
                    "score": one.score,
                    "final_score": one.final_score,
                    "probability": one.probability,
                    "position": position,
                    "reasons": [reason.to_record() for reason in one.reasons],
                    "adjustments": dict(one.adjustments),
                }
                for position, one in enumerate(self.ranking.items, start=1)
            ],
        }
        if self.ranking.note is not None:
            record["note"] = self.ranking.note
        return record


def new_rec_id(now: int, entropy: bytes) -> str:
    """Return a recommendation's id of 32 hex digits that sorts by time: 48 bits of `now`, then 80 of `entropy`."""
    if len(entropy) != REC_ID_ENTROPY:
        raise ValueError(f"entropy must be {REC_ID_ENTROPY} bytes, got {len(entropy)}")
    return f"{now:012x}{entropy.hex()}"
