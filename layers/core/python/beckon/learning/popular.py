"""How much popularity counts beside a person's own history, and over how long: lately, or ever."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from beckon.learning.evaluation import Targets, gains, paired_difference, ranks_in
from beckon.learning.members.contract import Known
from beckon.learning.members.trending import trend_of
from beckon.learning.model import fit_known, scores, users_at_once
from beckon.learning.recipe import Recipe
from beckon.values import DAY_MS

EVER_MS = 3_650 * DAY_MS
PRIORS = (0.03, 0.3, 1.0, 3.0)
FEWEST_TARGETS = 50
MOST_TARGETS = 2_000
CLEARLY_BETTER = 1.0  # standard errors of the paired difference


def settle(
    known: Known, recipe: Recipe, targets: Targets, *, exclude_seen: bool, may_go_on: Callable[[], bool]
) -> tuple[Recipe, Sequence[Mapping[str, Any]]]:
    """Return the recipe with the prior and its half-life that foretell `targets` best together, and every trial.

    One after the other would not find them: a prior that fades too fast is worth nothing, so a longer half-life gains
    nothing until the prior counts.
    """
    some = targets.some(MOST_TARGETS)
    if len(some) < FEWEST_TARGETS or not may_go_on():
        return recipe, ()
    halves = dict.fromkeys((recipe.trend_half_life_ms, EVER_MS))
    tried = [(recipe.trend_half_life_ms, recipe.prior), *((half, prior) for half in halves for prior in PRIORS)]
    model = fit_known(known, replace(recipe, prior=0.0))
    trends = {half: trend_of(known.once, replace(recipe, trend_half_life_ms=half)) for half in halves}
    ranks = np.empty((len(tried), len(some)), dtype=np.int64)
    step = users_at_once(model)
    for first in range(0, len(some), step):
        block = slice(first, min(first + step, len(some)))
        own = scores(model, some.histories.rows(block.start, block.stop))
        for place, (half, prior) in enumerate(tried):
            found = own + np.float32(prior * model.scale) * trends[half]
            ranks[place, block] = ranks_in(found, some, block, exclude_seen=exclude_seen)
    gained = [gains(one) for one in ranks]
    winner = int(np.argmax([one.mean() for one in gained]))
    difference, error = paired_difference(gained[winner], gained[0])
    taken = difference > CLEARLY_BETTER * error
    trace = [
        {
            "tried": "prior and half-life",
            "value": [prior, half],
            "ndcg_at_10": round(float(one.mean()), 5),
            "taken": taken and place == winner,
        }
        for place, ((half, prior), one) in enumerate(zip(tried, gained, strict=True))
    ]
    half, prior = tried[winner]
    return (replace(recipe, trend_half_life_ms=half, prior=prior) if taken else recipe), trace
