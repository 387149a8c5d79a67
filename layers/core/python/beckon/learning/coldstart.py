"""How well those are served of whom little is known: new items, new people, and shops of few events."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.evaluation import Targets, recalls, targets_at
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Bools, Longs

# A shop where, as far as can be told, fewer than one event in a hundred is of an item already met.
FEW_REPEATS = 0.01
CONFIDENCE = 1.645  # one-sided 95 %

type Band = tuple[str, int, int]

ITEM_EVENTS: tuple[Band, ...] = (("0", 0, 0), ("1-5", 1, 5), (">5", 6, 1 << 62))
PERSON_EVENTS: tuple[Band, ...] = (("0", 0, 0), ("1-2", 1, 2), ("3-5", 3, 5), (">5", 6, 1 << 62))


def has_few_repeats(sequences: Sequences) -> bool:
    """Return whether people hardly ever come back to an item, so that what was seen need not be shown again.

    The upper 95 % bound of the share of repeats among the events that could be one (not a person's first) must lie
    below 1 %: with no repeat at all, that takes 268 such events.
    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    could = len(sequences) - len(np.unique(sequences.users))
    if not could:
        return False
    z, share = CONFIDENCE, float(sequences.repeats().sum()) / could
    spread = z * float(np.sqrt(share * (1 - share) / could + z * z / (4 * could * could)))
    return (share + z * z / (2 * could) + spread) / (1 + z * z / could) < FEW_REPEATS


def strangers(sequences: Sequences, since: int, length: int) -> Targets:
    """Return the first event of everybody who came at `since` or later as targets with nothing before them."""
    firsts = np.flatnonzero(np.diff(sequences.users, prepend=-1))
    return targets_at(sequences, firsts[sequences.ts[firsts] >= since], length, least=0)


def warmth(ours: Longs, popular: Longs, targets: Targets, known: Sequences) -> Mapping[str, Any]:
    """Return R@10 by what was known of the target's item and of the person, with popularity's beside it.

    `ours` and `popular` are the targets' ranks; an item's events are those in `known`, a person's those before.
    """
    met = np.bincount(known.items, minlength=len(known.ids))[targets.items]
    own = targets.last - targets.first
    return {
        "items": {name: _recall(ours, popular, _within(met, low, high)) for name, low, high in ITEM_EVENTS},
        "people": {name: _recall(ours, popular, _within(own, low, high)) for name, low, high in PERSON_EVENTS},
    }


def _within(counts: NDArray[np.int64], low: int, high: int) -> Bools:
    return (counts >= low) & (counts <= high)


def _recall(ours: Longs, popular: Longs, kept: Bools) -> dict[str, Any]:
    if not kept.any():
        return {"recall_at_10": None, "popularity": None, "targets": 0}
    return {
        "recall_at_10": round(float(recalls(ours[kept]).mean()), 5),
        "popularity": round(float(recalls(popular[kept]).mean()), 5),
        "targets": int(kept.sum()),
    }
