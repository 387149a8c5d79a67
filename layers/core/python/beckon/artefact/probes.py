"""Probes: whether a runtime answers a model's inputs as the exporter saw them answered."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from beckon.artefact.model import Probe

TOLERANCE = 1e-4  # relative to the largest score: another runtime adds in another order

# Runs a graph on a probe's inputs (nested lists), and returns `items` and `score` as nested lists.
type Run = Callable[[Mapping[str, Any]], tuple[Sequence[Sequence[int]], Sequence[Sequence[float]]]]


def passes(run: Run, probes: Sequence[Probe]) -> bool:
    """Return whether `run` answers every probe; equal scores may come in another order. No probes: False."""
    return bool(probes) and all(_answers(run, probe) for probe in probes)


def score_or_none(value: float) -> float | None:
    """Return a score as a probe keeps it: None for what JSON cannot say."""
    return value if math.isfinite(value) else None


def _answers(run: Run, probe: Probe) -> bool:
    items, scores = run(probe.inputs)
    if [len(row) for row in items] != [len(row) for row in probe.items]:
        return False
    rows = zip(probe.items, probe.score, items, scores, strict=True)
    return all(_alike(*row) for row in rows)


def _alike(
    wanted_items: Sequence[int], wanted: Sequence[float | None], found_items: Sequence[int], found: Sequence[float]
) -> bool:
    known = [abs(value) for value in wanted if value is not None]
    tolerance = TOLERANCE * max(known, default=0.0)
    score_of = {item: value for item, value in zip(wanted_items, wanted, strict=True) if item >= 0}
    for item, value, wanted_item, wanted_value in zip(found_items, found, wanted_items, wanted, strict=True):
        if wanted_item < 0 or wanted_value is None:
            if item >= 0:
                return False
            continue
        # An item the probe does not list may stand in for one of equal score at the list's end.
        own = score_of.get(item, wanted[-1])
        if item < 0 or own is None or not abs(value - wanted_value) <= tolerance or not abs(value - own) <= tolerance:
            return False
    return True
