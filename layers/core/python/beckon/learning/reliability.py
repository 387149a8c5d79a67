"""How far chances can be believed: predicted beside seen, by bins, in all and by segment."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.chances import HISTORY_STARTS, POSITION_STARTS, bands
from beckon.learning.slots import Slots

BINS = 10
FEWEST_SLOTS = 200  # of a segment worth a line


@dataclass(frozen=True, slots=True)
class Reliability:
    """One segment: `bins` of equal many slots as (mean chance, share acted on, slots), lowest chance first.

    `error`: expected calibration error, Σ_bins (slots/all)·|mean chance − share acted on|; `rate`: of all slots.
    """

    segment: str
    slots: int
    rate: float
    error: float
    bins: tuple[tuple[float, float, int], ...]

    def to_record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "segment": self.segment,
            "slots": self.slots,
            "rate": round(self.rate, 6),
            "error": round(self.error, 6),
            "bins": [[round(chance, 6), round(share, 6), many] for chance, share, many in self.bins],
        }


def reliability(
    segment: str, chances: NDArray[np.float64], happened: NDArray[np.float64] | NDArray[np.bool_], bins: int = BINS
) -> Reliability:
    """Return the reliability of some chances, `happened` being what came of each (or its true chance)."""
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    found = tuple((float(chances[part].mean()), float(happened[part].mean()), len(part)) for part in parts)
    error = sum(many * abs(chance - share) for chance, share, many in found) / max(1, len(chances))
    return Reliability(segment, len(chances), float(happened.mean()) if len(chances) else 0.0, float(error), found)


def by_segment(slots: Slots, chances: NDArray[np.float64]) -> list[Reliability]:
    """Return the reliability of all slots, then by surface, position band and history band where there are enough."""
    return [
        reliability(name, chances[kept], slots.labels[kept])
        for name, kept in segments(slots)
        if name == "all" or int(kept.sum()) >= FEWEST_SLOTS
    ]


def segments(slots: Slots) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each segment's name and which slots are of it."""
    yield "all", np.ones(len(slots), dtype=np.bool_)
    for name in sorted(set(slots.surfaces.tolist())):
        yield f"surface {name}", slots.surfaces == name
    for title, values, starts in (
        ("position", slots.positions, POSITION_STARTS),
        ("history", slots.history, HISTORY_STARTS),
    ):
        found = bands(values, starts)
        for number, name in enumerate(band_names(starts)):
            yield f"{title} {name}", found == number


def band_names(starts: tuple[int, ...]) -> list[str]:
    """Return the bands in words: "0", "1-2", "16+"."""
    closed = [str(low) if after == low + 1 else f"{low}-{after - 1}" for low, after in pairwise(starts)]
    return [*closed, f"{starts[-1]}+"]
