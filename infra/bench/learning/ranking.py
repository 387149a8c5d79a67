"""Full-ranking metrics of a baseline, written apart from the product's own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from infra.bench.learning.task import Bools, Floats, Longs, Task

CELLS = 1 << 22

# Scores of every item [places, items] for the users and histories of the events at some places.
type Scorer = Callable[[Longs], Floats]


def ranks(task: Task, scorer: Scorer, places: Longs) -> Longs:
    """Return the rank from 1 of each target among all items, ties against us; 0 where the target was excluded.

    Raises:
        ValueError: a score is not a number.
    """
    found = np.zeros(len(places), dtype=np.int64)
    step = max(1, CELLS // task.n_items)
    for begin in range(0, len(places), step):
        some = places[begin : begin + step]
        scores = np.array(scorer(some), dtype=np.float32)
        if np.isnan(scores).any():
            raise ValueError("a baseline scores with NaN: its settings diverge")
        own = scores[np.arange(len(some)), task.items[some]].copy()
        is_candidate = np.ones(scores.shape, dtype=np.bool_)
        if task.exclude_seen:
            for row, (first, last) in enumerate(zip(task.firsts(some), some, strict=True)):
                is_candidate[row, task.items[first:last]] = False
        as_good = np.sum((scores >= own[:, None]) & is_candidate, axis=1)
        found[begin : begin + step] = np.where(is_candidate[np.arange(len(some)), task.items[some]], as_good, 0)
    return found


def is_repeat(task: Task, places: Longs) -> Bools:
    """Return which targets their user had met before."""
    firsts = task.firsts(places)
    pairs = zip(firsts.tolist(), places.tolist(), strict=True)
    return np.array([task.items[last] in task.items[first:last] for first, last in pairs], dtype=np.bool_)


def gain(found: Longs) -> float:
    """Return N@10, the mean of 1/log₂(rank + 1) over ranks ≤ 10, others 0."""
    hits = found[(found > 0) & (found <= 10)]  # noqa: PLR2004  ten
    return float((1 / np.log2(hits + 1.0)).sum() / max(1, len(found)))


def metrics(found: Longs) -> dict[str, Any]:
    """Return R@10, the share of targets among the first ten, and N@10."""
    if not len(found):
        return {"targets": 0, "recall_at_10": None, "ndcg_at_10": None}
    hit = float(((found > 0) & (found <= 10)).mean())  # noqa: PLR2004  ten
    return {"targets": len(found), "recall_at_10": round(hit, 5), "ndcg_at_10": round(gain(found), 5)}
