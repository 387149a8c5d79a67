"""Popularity that fades: what has people's attention now."""

import numpy as np

from beckon.learning.members.contract import Known, Tables
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Floats


def trending(known: Known, recipe: Recipe) -> Tables:
    """Return the prior of every item: its decayed number of people, 1 for the largest."""
    return Tables(prior=trend_of(known.once, recipe))


def trend_of(once: Sequences, recipe: Recipe) -> Floats:
    """Return Σ_people 2^(−age/half-life) [items], the largest scaled to 1; age is from the newest event of all."""
    if not len(once):
        return np.zeros(len(once.ids), dtype=np.float32)
    ages = (once.ts.max() - once.ts) / recipe.trend_half_life_ms
    sums = np.bincount(once.items, weights=np.exp2(-np.minimum(ages, 1_000.0)), minlength=len(once.ids))
    return (sums / sums.max()).astype(np.float32)
