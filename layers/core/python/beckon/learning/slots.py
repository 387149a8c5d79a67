"""Slots of served lists that were really seen, with what was known of each and what came of it."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beckon.values import DAY_MS

WINDOW_MS = 7 * DAY_MS
POSITIVE_TYPES = ("click", "cart", "purchase")
EXPOSURE_COLUMNS = ("rec_id", "user_key", "ts", "surface", "history", "slots")


@dataclass(frozen=True, slots=True)
class Slots:
    """Seen slots, oldest list first, one entry each in every array.

    `labels`: acted on. `history`: how many items of the person's past the graph was sent; `people` numbers persons.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.bool_]
    surfaces: NDArray[np.str_]
    positions: NDArray[np.int64]
    history: NDArray[np.int64]
    people: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def where(self, kept: NDArray[np.bool_] | slice) -> "Slots":
        """Return some of the slots."""
        return Slots(
            self.scores[kept],
            self.labels[kept],
            self.surfaces[kept],
            self.positions[kept],
            self.history[kept],
            self.people[kept],
        )

    def newest(self, most: int) -> "Slots":
        """Return at most `most` slots, the newest."""
        return self.where(slice(max(0, len(self) - most), None))


def seen_slots(exposures: Any, events: Any, event_weights: Mapping[str, float]) -> Slots:
    """Return every slot that an impression says was seen, and whether its item was then acted on.

    `exposures` (EXPOSURE_COLUMNS) and `events` (user_key, type, item, ts, rec_id; each person's by time) are Arrow
    tables. Acted on: a click, cart or purchase of the item by the same person within a week of the exposure. Scores
    are those that were served, whichever model gave them: successive models score on one scale. Where an older
    exposure does not say how long the history was, the person's events of `event_weights` before it are counted.
    """
    counted = sorted(kind for kind, weight in event_weights.items() if weight > 0)
    wanted = sorted({"impression", *POSITIVE_TYPES, *counted})
    events = events.filter(pc.is_in(events.column("type"), value_set=pa.array(wanted)))
    names = ("type", "item", "user_key", "ts", "rec_id")
    rows = list(zip(*(events.column(name).to_pylist() for name in names), strict=True))
    seen = {(rec_id, item) for kind, item, _, _, rec_id in rows if kind == "impression"}
    acts: dict[tuple[str, str], list[int]] = {}
    past: dict[str, list[int]] = {}
    for kind, item, person, ts, _ in rows:
        if kind in POSITIVE_TYPES:
            acts.setdefault((person, item), []).append(ts)
        if kind in counted and item is not None:
            past.setdefault(person, []).append(ts)
    found: list[tuple[int, str, float, bool, str, int, int, str]] = []
    columns = (exposures.column(name).to_pylist() for name in EXPOSURE_COLUMNS)
    for rec_id, person, ts, surface, history, slots in zip(*columns, strict=True):
        length = _counted(past, person, ts, surface) if history is None else history
        for slot in slots:
            if (rec_id, slot["item"]) in seen and np.isfinite(slot["score"]):
                is_acted_on = any(ts <= at <= ts + WINDOW_MS for at in acts.get((person, slot["item"]), ()))
                found.append((ts, rec_id, slot["score"], is_acted_on, surface, slot["position"], length, person))
    found.sort(key=lambda one: (one[0], one[1], one[5]))
    _, people = np.unique(np.array([one[7] for one in found], dtype=np.str_), return_inverse=True)
    return Slots(
        scores=np.array([one[2] for one in found], dtype=np.float64),
        labels=np.array([one[3] for one in found], dtype=np.bool_),
        surfaces=np.array([one[4] for one in found], dtype=np.str_),
        positions=np.array([one[5] for one in found], dtype=np.int64),
        history=np.array([one[6] for one in found], dtype=np.int64),
        people=people.astype(np.int64),
    )


def _counted(past: Mapping[str, list[int]], person: str, ts: int, surface: str) -> int:
    if surface == "trending":
        return 0
    return bisect_left(past.get(person, []), ts) if surface in ("home", "rerank") else 1
