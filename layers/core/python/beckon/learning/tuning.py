"""Choosing a recipe on validation targets, a setting at a time, and only when the choice is more than noise."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.evaluation import Targets, gains, paired_difference, ranks_in
from beckon.learning.members.contract import Known
from beckon.learning.members.ridge import is_small_enough
from beckon.learning.model import Model, by_content, collaborative, fit_known, of_own, users_at_once
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import Floats, Longs

FEWEST_TARGETS = 50
# As many targets as make so many scores, within bounds.
TARGET_CELLS = 3 << 24
TARGETS = (1_000, 10_000)
CLEARLY_BETTER = 1.0  # standard errors of the paired difference
SWEEPS = 2

# In the order in which they are tried, each with the winner of the one before.
CANDIDATES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("ridge", (0.5, 1.0)),
    ("penalty", (30.0, 100.0, 1_000.0)),
    ("recency", (0.4, 0.7, 0.85)),
    ("target_power", (0.0, 0.25, 0.5)),
    ("source_power", (0.0, 0.3, 0.5)),
    ("backward", (0.1, 0.5, 1.0)),
    ("pair_decay", (0.7, 0.95)),
    ("cosine", (0.3,)),
    ("low_rank", (0.2,)),
    ("content", (0.0, 0.5, 1.1)),
    ("taste", (0.2, 0.7, 1.0)),
    ("repeat", (0.5, 1.0, 2.0, 4.0, 16.0)),
    ("prior", (0.01, 0.1, 0.3)),
)
# Settings that make other rows; all others are applied to rows that stand.
OF_ROWS = frozenset(
    {"ridge", "penalty", "target_power", "source_power", "backward", "pair_decay", "cosine", "low_rank"}
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """The recipe that was chosen, and every trial: what was tried, its N@10, and whether it was taken."""

    recipe: Recipe
    trace: tuple[dict[str, Any], ...]


def choose(
    known: Known, start: Recipe, targets: Targets, *, exclude_seen: bool, may_go_on: Callable[[], bool]
) -> Choice:
    """Return the best recipe near `start`, by N@10 of targets that `known` does not hold.

    A candidate is taken if its paired gain exceeds one standard error, so that models do not flap from night to
    night. All settings are tried in turn, twice if anything was taken. With few targets, or when `may_go_on` says no,
    what has been chosen so far stands. Nothing is drawn: the same inputs and time enough give the same choice.
    """
    if len(targets) < FEWEST_TARGETS or not may_go_on():
        return Choice(start, ())
    some = targets.some(min(TARGETS[1], max(TARGETS[0], TARGET_CELLS // max(1, len(known.seen.ids)))))
    model = fit_known(known, start)
    best = gains(_ranks([model], some, exclude_seen=exclude_seen)[0])
    trace: list[dict[str, Any]] = [_trial("start", None, best, taken=True)]
    last_taken = ""
    for sweep in range(SWEEPS):
        for name, values in CANDIDATES:
            if sweep and name == last_taken:
                return Choice(model.recipe, tuple(trace))  # all others have been tried with it
            recipes = _recipes(known, model.recipe, name, values, exclude_seen=exclude_seen)
            if sweep:
                recipes = [one for one in recipes if _is_near(name, values, model.recipe, one)]
            if not recipes:
                continue
            if not may_go_on():
                return Choice(model.recipe, tuple(trace))
            models = [_under(known, model, recipe, name) for recipe in recipes]
            found = [gains(ranks) for ranks in _ranks(models, some, exclude_seen=exclude_seen)]
            winner = int(np.argmax([one.mean() for one in found]))
            mean, error = paired_difference(found[winner], best)
            taken = mean > CLEARLY_BETTER * error
            trace += [
                _trial(name, getattr(one.recipe, name), gain, taken=taken and place == winner)
                for place, (one, gain) in enumerate(zip(models, found, strict=True))
            ]
            if taken:
                model, best, last_taken = models[winner], found[winner], name
            log.info("tuning %s: %s, N@10 %.5f", name, getattr(model.recipe, name), best.mean())
        if not last_taken:
            break
    return Choice(model.recipe, tuple(trace))


def _recipes(known: Known, now: Recipe, name: str, values: Sequence[float], *, exclude_seen: bool) -> list[Recipe]:
    """Return the recipes to try for one setting: none where it can make no difference here."""
    is_small = is_small_enough(known)
    pointless = {
        "ridge": not is_small,
        "penalty": not now.ridge,
        "low_rank": not is_small,
        "cosine": not is_small,
        "source_power": now.ridge >= 1,
        "target_power": now.ridge >= 1,
        "content": not len(known.content.rows.columns),
        "taste": not len(known.content.rows.columns) or not now.content,
        "repeat": exclude_seen,  # nothing seen is recommended, whatever it scores
    }
    if pointless.get(name):
        return []
    recipes = [Recipe.from_record(now.to_record() | {name: value}) for value in values if value != getattr(now, name)]
    return [one for one in recipes if one.ridge + one.cosine + one.low_rank <= 1]


def _is_near(name: str, values: Sequence[float], now: Recipe, other: Recipe) -> bool:
    """Return whether a candidate is next to the present value, among the candidates and the default."""
    line = sorted({*values, getattr(now, name), getattr(Recipe(), name)})
    return abs(line.index(getattr(now, name)) - line.index(getattr(other, name))) == 1


def _under(known: Known, model: Model, recipe: Recipe, name: str) -> Model:
    return fit_known(known, recipe) if name in OF_ROWS else model.with_recipe(recipe)


def _ranks(models: Sequence[Model], targets: Targets, *, exclude_seen: bool) -> list[Longs]:
    """Return the targets' ranks by each model; the parts of scores that models share are computed once."""
    ranks = [np.empty(len(targets), dtype=np.int64) for _ in models]
    step = users_at_once(models[0])
    for first in range(0, len(targets), step):
        block = slice(first, min(first + step, len(targets)))
        histories = targets.histories.rows(block.start, block.stop)
        parts: dict[tuple[Any, ...], Floats] = {}
        for place, model in enumerate(models):
            recipe = model.recipe
            keys = (("rows", id(model.rows), recipe.recency), ("content", recipe.recency, recipe.taste))
            for key, part in zip(keys, (collaborative, by_content), strict=True):
                if key not in parts:
                    parts[key] = part(model, histories)
            found = parts[keys[0]] + np.float32(model.content_scale) * parts[keys[1]] + model.prior
            if recipe.repeat:
                found += np.float32(model.repeat_scale) * of_own(model, histories)
            ranks[place][block] = ranks_in(found, targets, block, exclude_seen=exclude_seen)
    return ranks


def _trial(name: str, value: float | None, found: NDArray[np.float64], *, taken: bool) -> dict[str, Any]:
    return {"tried": name, "value": value, "ndcg_at_10": round(float(found.mean()), 5), "taken": bool(taken)}
