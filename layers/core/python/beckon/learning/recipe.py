"""A recipe: every number that, with the same data, makes the same model."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from beckon.values import DAY_MS

# What a step of a session says about taste. Types that are not named (search, impression, refund) say nothing.
EVENT_WEIGHTS: Mapping[str, float] = {
    "view": 1.0,
    "click": 1.0,
    "cart": 1.0,
    "purchase": 1.0,
    "rating": 1.0,
    "custom": 1.0,
}
LONGEST_HISTORY = 50
NEGLIGIBLE = 1e-7


@dataclass(frozen=True, slots=True)
class Recipe:
    """The directed count model's settings; symbols are those of Source: research notes, "directed count + attributes".

    `source_power` a and `target_power` c: M = D^(−a) C D^(−c). `backward` b: weight of a pair against its direction.
    `pair_decay` ρ_C a step between the two events, up to `pair_window` steps. `recency` ρ a step of a live history.
    `content` w and `prior` π are fractions of σ. `trend_half_life_ms`: after it an event counts half in the prior.
    `user_events`: only a person's newest so many events are counted. `row_cells`: strongest neighbours kept a row.
    `dense` D: the most dimensions of the dense space. `event_weights` by event type.
    """

    source_power: float = 0.25
    target_power: float = 0.15
    backward: float = 0.3
    pair_decay: float = 0.85
    pair_window: int = 50
    recency: float = 0.55
    content: float = 1.0
    prior: float = 0.03
    trend_half_life_ms: int = 14 * DAY_MS
    user_events: int = 1_000
    row_cells: int = 4_096
    dense: int = 64
    event_weights: Mapping[str, float] = field(default_factory=lambda: dict(EVENT_WEIGHTS))

    @property
    def history_length(self) -> int:
        """Return L: beyond it ρ^k is below what a 32-bit score resolves; at most the newest 50."""
        if not self.recency > 0:
            return 1
        if self.recency >= 1:
            return LONGEST_HISTORY
        return min(LONGEST_HISTORY, math.ceil(math.log(NEGLIGIBLE) / math.log(self.recency)))

    def to_record(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Recipe":
        """Return the recipe `to_record` wrote; settings a newer version added are ignored, missing ones defaulted."""
        return cls(**{name: record[name] for name in cls.__slots__ if name in record})
