"""A recipe: every number that, with the same data, makes the same model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from beckon.values import DAY_MS

# What a step of a session says about taste, until the shop's own data say otherwise. A `custom` may mean anything, a
# thing laid aside too, so it says nothing; neither do types that are not named (search, impression). Refunds and
# removals take their purchase or cart away.
EVENT_WEIGHTS: Mapping[str, float] = {
    "view": 1.0,
    "click": 1.0,
    "cart": 1.0,
    "purchase": 1.0,
    "rating": 1.0,
    "custom": 0.0,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """The directed count model's settings; symbols are those of Source: research notes, "directed count + attributes".

    `source_power` a and `target_power` c: M = D^(−a) C D^(−c). `backward` b: weight of a pair against its direction.
    `pair_decay` ρ_C a step between the two events, up to `pair_window` steps. `recency` ρ a step of a live history.
    An older event speaks of taste with its weight to the power of `taste` γ: ρ^γ a step. `ridge`, `cosine` and
    `low_rank` are the shares of these members in M, the rest is the directed counts'; `penalty` λ and `penalty_power` θ
    are the ridge's, `rank` the low-rank member's dimensions.
    `content` w, `prior` π and `repeat` r are fractions of σ; r is what the newest event adds to its own item.
    `trend_half_life_ms`: after it an event counts half in the prior. `history_length` L: the newest events of a live
    history that score. `user_events`: only a person's newest so many events are counted. `row_cells`: strongest
    neighbours kept a row. `dense` D: the most dimensions of the dense space. `event_weights` by event type.
    """

    source_power: float = 0.15
    target_power: float = 0.1
    backward: float = 0.25
    pair_decay: float = 0.85
    pair_window: int = 50
    recency: float = 0.55
    taste: float = 0.4
    ridge: float = 0.0
    penalty: float = 300.0
    penalty_power: float = 0.25
    cosine: float = 0.0
    low_rank: float = 0.0
    rank: int = 32
    content: float = 0.8
    prior: float = 0.03
    repeat: float = 0.0
    trend_half_life_ms: int = 14 * DAY_MS
    history_length: int = 50
    user_events: int = 1_000
    row_cells: int = 4_096
    dense: int = 64
    event_weights: Mapping[str, float] = field(default_factory=lambda: dict(EVENT_WEIGHTS))

    def to_record(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return asdict(self)

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with some settings changed."""
        return replace(self, **changes)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Recipe":
        """Return the recipe `to_record` wrote; settings a newer version added are ignored, missing ones defaulted."""
        return cls(**{one.name: record[one.name] for one in fields(cls) if one.name in record})
