"""Choosing a recipe on validation targets, from few candidates, and only when the choice is more than noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.evaluation import Targets, gains, paired_difference, ranks_in
from beckon.learning.model import Histories, Model, by_content, collaborative, of_own, users_at_once
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import Floats, Longs

FEWEST_TARGETS = 50
MOST_TARGETS = 2_000
CLEARLY_BETTER = 1.0  # standard errors of the paired difference

# In the order in which they are tried, each with the winner of the one before.
CANDIDATES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("recency", (0.4, 0.7, 0.85)),
    ("content", (0.0, 0.5, 1.5)),
    ("repeat", (0.5, 1.0, 2.0, 4.0, 16.0)),
    ("prior", (0.01, 0.1, 0.3)),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The recipe that was chosen, and every trial: what was tried, its N@10, and whether it was taken."""

    recipe: Recipe
    trace: tuple[dict[str, Any], ...]


def choose(model: Model, targets: Targets, *, exclude_seen: bool, may_go_on: Callable[[], bool]) -> Choice:
    """Return the best recipe near the model's own, by N@10 of targets the model was not fitted on.

    A candidate is taken if its paired gain exceeds one standard error, so that models do not flap from night to
    night. With few targets, or when `may_go_on` says no, what has been chosen so far stands.
    """
    if len(targets) < FEWEST_TARGETS:
        return Choice(model.recipe, ())
    some = targets.some(MOST_TARGETS)
    best = gains(_ranks(model, some, [model.recipe], exclude_seen=exclude_seen)[0])
    trace: list[dict[str, Any]] = [_trial("start", model.recipe, best, taken=True)]
    chosen = model.recipe
    for name, values in CANDIDATES:
        if not may_go_on():
            break
        if (name == "repeat" and exclude_seen) or (name == "content" and not len(model.content.rows.columns)):
            continue  # nothing seen is recommended, whatever it scores; and nothing is known of any item
        recipes = [Recipe.from_record(chosen.to_record() | {name: value}) for value in values]
        found = [gains(ranks) for ranks in _ranks(model, some, recipes, exclude_seen=exclude_seen)]
        winner = int(np.argmax([one.mean() for one in found]))
        mean, error = paired_difference(found[winner], best)
        taken = mean > CLEARLY_BETTER * error
        trace += [
            _trial(name, recipe, one, taken=taken and place == winner)
            for place, (recipe, one) in enumerate(zip(recipes, found, strict=True))
        ]
        if taken:
            chosen, best = recipes[winner], found[winner]
    return Choice(chosen, tuple(trace))


def _ranks(model: Model, targets: Targets, recipes: list[Recipe], *, exclude_seen: bool) -> list[Longs]:
    """Return the targets' ranks under each recipe; what depends on recency alone is computed once for each."""
    ranks = [np.empty(len(targets), dtype=np.int64) for _ in recipes]
    step = users_at_once(model)
    for first in range(0, len(targets), step):
        block = slice(first, min(first + step, len(targets)))
        histories = targets.histories.rows(block.start, block.stop)
        parts: dict[float, tuple[Floats, Floats, Floats]] = {}
        for place, recipe in enumerate(recipes):
            own = model.with_recipe(recipe)
            if recipe.recency not in parts:
                parts = {recipe.recency: _parts(own, histories)}
            together, alike, again = parts[recipe.recency]
            found = together + np.float32(own.content_scale) * alike + own.prior
            if recipe.repeat:
                found += np.float32(own.repeat_scale) * again
            ranks[place][block] = ranks_in(found, targets, block, exclude_seen=exclude_seen)
    return ranks


def _parts(model: Model, histories: Histories) -> tuple[Floats, Floats, Floats]:
    return collaborative(model, histories), by_content(model, histories), of_own(model, histories)


def _trial(name: str, recipe: Recipe, found: NDArray[np.float64], *, taken: bool) -> dict[str, Any]:
    value = None if name == "start" else getattr(recipe, name)
    return {"tried": name, "value": value, "ndcg_at_10": round(float(found.mean()), 5), "taken": taken}
