"""The last step of a probability, after the graph: what only the caller knows, the surface and the final position."""

from bisect import bisect_right
from math import exp, log

from beckon.artefact.model import Chances

NEVER = 1e-9  # a 32-bit chance of 0 or 1 has no log odds


def finished(chance: float, place: int, position: int, surface: str, chances: Chances | None) -> float:
    """Return σ(A·(z − v[place] + v[position]) + B), z the log odds of the graph's `chance` at its `place` (from 1).

    (A, B) is the surface's, (1, 0) for one that calibration has not met; a model without `chances` needs no step.
    """
    if chances is None:
        return chance
    within = min(max(chance, NEVER), 1 - NEVER)
    z = log(within / (1 - within)) + _offset(position, chances) - _offset(place, chances)
    slope, offset = chances.surfaces.get(surface, (1.0, 0.0))
    return 1 / (1 + exp(-min(max(slope * z + offset, -30.0), 30.0)))


def _offset(position: int, chances: Chances) -> float:
    return chances.positions[bisect_right(chances.position_starts, position) - 1]
