"""What calibration found: from score, history length, place and surface to the chance that a seen slot is acted on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.graph import FLOAT, INT64, Graph

# Bands by what they start at. A score of nothing but the prior, of one click and of many mean different things; the
# first places are looked at by other people than the tenth.
HISTORY_STARTS = (0, 1, 3, 6, 16)
POSITION_STARTS = (1, 2, 3, 6, 11)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log odds z = slopes[h]·f(score) + offsets[h] + positions[p], then A·z + B by surface; probability = σ of it.

    h is the band of the history's length, p that of the place in the list. f goes straight through the points
    (`scores`, `odds`) and on beyond them as between the two at its end. z is in the graph; `surfaces` has (A, B), which
    the caller applies, for the graph cannot know the surface: (1, 0) where it is not named.
    `method`: the family that was taken; `losses`: each one's held-out log-loss, `base` that of the plain rate.
    """

    method: str
    scores: tuple[float, ...]
    odds: tuple[float, ...]
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    positions: tuple[float, ...] = (0.0,) * len(POSITION_STARTS)
    surfaces: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_score(cls, slope: float, offset: float) -> "Calibration":
        """Return σ(slope·score + offset), whatever else is known."""
        many = len(HISTORY_STARTS)
        return cls("score", (0.0, 1.0), (0.0, 1.0), (slope,) * many, (offset,) * many)

    def log_odds(self, scores: NDArray[Any], history: NDArray[Any], positions: NDArray[Any]) -> NDArray[np.float64]:
        """Return z [slots], what the graph's probability is the σ of."""
        band, place = bands(history, HISTORY_STARTS), bands(positions, POSITION_STARTS)
        slopes, offsets, places = np.array(self.slopes), np.array(self.offsets), np.array(self.positions)
        return np.asarray(slopes[band] * self.curve(scores) + offsets[band] + places[place], dtype=np.float64)

    def curve(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return f(score) = y₀ + m₀·(x − x₀) + Σ_i (mᵢ − mᵢ₋₁)·max(0, x − xᵢ)."""
        knots, value, slope, bends = self._bends()
        x = np.asarray(scores, dtype=np.float64)
        bent = (np.maximum(x[..., None] - knots[1:], 0) * bends).sum(axis=-1)
        return np.asarray(value + slope * (x - knots[0]) + bent, dtype=np.float64)

    def chances(
        self, scores: NDArray[Any], history: NDArray[Any], positions: NDArray[Any], surfaces: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the probability of each slot; `surfaces` are names."""
        found = self.log_odds(scores, history, positions)
        for name, (slope, offset) in self.surfaces.items():
            here = surfaces == name
            found[here] = slope * found[here] + offset
        return np.asarray(1 / (1 + np.exp(-np.clip(found, -30, 30))), dtype=np.float64)

    def write(self, g: Graph, score: str, items: int) -> str:
        """Return σ(z) [B, K] written into a graph for its `score` [B, K]; of `history`, what is no padding counts."""
        knots, value, slope, bends = self._bends()
        x = g.axis(score, 2)
        bent = g.op("Relu", g.sub(x, g.store("chance_knots", knots[1:].astype(np.float32))))
        bent = g.sum(g.mul(bent, g.store("chance_bends", bends.astype(np.float32))), 2)
        curve = g.add(g.add(g.mul(g.sub(score, g.number(float(knots[0]))), g.number(slope)), g.number(value)), bent)
        inside = g.op("And", g.op("GreaterOrEqual", "history", g.whole(0)), g.op("Less", "history", g.whole(items)))
        length = g.op("ReduceSum", g.cast(inside, INT64), g.ints(1), keepdims=1)  # [B, 1]
        slopes, offsets = (self._steps(g, length, values, HISTORY_STARTS) for values in (self.slopes, self.offsets))
        place = g.op("Range", g.whole(1), g.scalar(g.add(g.size(score, 1), g.ints(1))), g.whole(1))
        places = self._steps(g, place, self.positions, POSITION_STARTS)
        return g.op("Sigmoid", g.add(g.add(g.mul(slopes, curve), offsets), places))

    def to_record(self) -> dict[str, Any]:
        """Return the calibration as plain JSON values, with the bands it is by."""
        bands_by = {"history_starts": list(HISTORY_STARTS), "position_starts": list(POSITION_STARTS)}
        return asdict(self) | bands_by

    def _bends(self) -> tuple[NDArray[np.float64], float, float, NDArray[np.float64]]:
        """Return knots, value and slope at the first, and by how much the slope changes at each knot but the first."""
        knots, values = np.array(self.scores), np.array(self.odds)
        slopes = np.diff(values) / np.diff(knots)
        return knots[:-1], float(values[0]), float(slopes[0]), np.diff(slopes)

    @staticmethod
    def _steps(g: Graph, data: str, values: tuple[float, ...], starts: tuple[int, ...]) -> str:
        """Return values[band of data], as a sum of steps, of the shape of data."""
        found = g.number(values[0])
        for start, step in zip(starts[1:], np.diff(values).tolist(), strict=True):
            reached = g.cast(g.op("GreaterOrEqual", data, g.whole(start)), FLOAT)
            found = g.add(found, g.mul(reached, g.number(step)))
        return found


def bands(values: NDArray[Any], starts: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the band of each value: the last that starts at or before it, the first for what is before all."""
    return np.maximum(np.searchsorted(starts, values, side="right") - 1, 0)
