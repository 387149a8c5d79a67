"""Choosing a recipe on validation targets, a setting at a time, and only when the choice is more than noise."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.content import EXACT_TOKENS
from beckon.learning.evaluation import Targets, gains, paired_difference, ranks_in
from beckon.learning.members.contract import Known
from beckon.learning.members.ridge import is_small_enough
from beckon.learning.model import Model, by_content, collaborative, fit_known, of_own, users_at_once
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import Floats, Longs

FEWEST_TARGETS = 50
# As many targets as make so many scores, within bounds; what wins on them must win on four times as many.
TARGET_CELLS = 1 << 25
TARGETS = (1_000, 10_000)
CONFIRMING = 4
CLEARLY_BETTER = 1.0  # standard errors of the paired difference
SWEEPS = 2

# Whole recipes that are tried first, because no single setting leads from one to another.
STARTS: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("ridge", {"ridge": 1.0}),
    ("ridge on whole histories", {"ridge": 1.0, "backward": 1.0, "pair_decay": 1.0, "recency": 0.95}),
    ("cosine", {"source_power": 0.5, "target_power": 0.5, "backward": 1.0, "recency": 0.85}),
    ("short taste", {"source_power": 0.25, "target_power": 0.15, "backward": 0.3, "taste": 1.0, "content": 1.0}),
)
# Then settings in the order in which they are tried, each with the winner of the one before.
CANDIDATES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("ridge", (0.0, 0.5, 1.0)),
    ("penalty", (30.0, 100.0, 1_000.0)),
    ("recency", (0.4, 0.7, 0.85, 0.95)),
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

    Candidates are screened on some targets; the best, if better than what stands, is taken if on more targets its
    paired gain exceeds one standard error, so that models do not flap from night to night. A few whole recipes are
    tried first, then all settings in turn, twice if anything was taken. With few targets, or when `may_go_on` says
    no, what has been chosen so far stands. Nothing is drawn: the same inputs, and time enough, give the same choice.
    """
    if len(targets) < FEWEST_TARGETS or not may_go_on():
        return Choice(start, ())
    search = _Search(known, start, targets, exclude_seen=exclude_seen)
    for name, changes in STARTS:
        recipe = start.changed(changes)
        if search.matters(recipe) and may_go_on():
            search.offer("start", [(name, recipe)])
    last_taken = ""
    for sweep in range(SWEEPS):
        for name, values in CANDIDATES:
            if (sweep and name == last_taken) or not may_go_on():
                return search.choice()  # all others have been tried with it; or time is up
            recipes = _recipes(known, search.model.recipe, name, values, exclude_seen=exclude_seen)
            if sweep:
                recipes = [one for one in recipes if _is_near(name, values, search.model.recipe, one)]
            if search.offer(name, [(getattr(one, name), one) for one in recipes]):
                last_taken = name
            log.info("tuning %s: %s", name, getattr(search.model.recipe, name))
        if not last_taken:
            break
    return search.choice()


class _Search:
    """The recipe that stands, and how it was come to."""

    def __init__(self, known: Known, start: Recipe, targets: Targets, *, exclude_seen: bool) -> None:
        most = min(TARGETS[1], max(TARGETS[0], TARGET_CELLS // max(1, len(known.seen.ids))))
        self._known, self._exclude_seen = known, exclude_seen
        self._some, self._more = targets.some(most), targets.some(CONFIRMING * most)
        self.model = fit_known(known, start)
        self._screened = self._gains([self.model], self._some)[0]
        self._confirmed = self._gains([self.model], self._more)[0]
        self._trace = [_trial("start", None, self._screened, taken=True)]

    def matters(self, recipe: Recipe) -> bool:
        """Return whether this recipe makes another model here than the one that stands."""
        is_small = is_small_enough(self._known)
        return recipe != self.model.recipe and (is_small or not (recipe.ridge or recipe.cosine or recipe.low_rank))

    def offer(self, name: str, candidates: Sequence[tuple[Any, Recipe]]) -> bool:
        """Try the candidates (what the trace calls them, recipe); return whether the best of them now stands."""
        if not candidates:
            return False
        models = [self._under(recipe) for _, recipe in candidates]
        found = self._gains(models, self._some)
        winner = int(np.argmax([one.mean() for one in found]))
        taken = False
        if found[winner].mean() > self._screened.mean():
            is_all = len(self._more) == len(self._some)
            surely = found[winner] if is_all else self._gains([models[winner]], self._more)[0]
            mean, error = paired_difference(surely, self._confirmed)
            taken = mean > CLEARLY_BETTER * error
            if taken:
                self.model, self._screened, self._confirmed = models[winner], found[winner], surely
        for place, ((value, _), gained) in enumerate(zip(candidates, found, strict=True)):
            self._trace.append(_trial(name, value, gained, taken=taken and place == winner))
        return taken

    def choice(self) -> Choice:
        """Return what stands."""
        return Choice(self.model.recipe, tuple(self._trace))

    def _under(self, recipe: Recipe) -> Model:
        is_other = any(getattr(recipe, name) != getattr(self.model.recipe, name) for name in OF_ROWS)
        return fit_known(self._known, recipe) if is_other else self.model.with_recipe(recipe)

    def _gains(self, models: Sequence[Model], targets: Targets) -> list[NDArray[np.float64]]:
        return [gains(ranks) for ranks in _ranks(models, targets, exclude_seen=self._exclude_seen)]


def _recipes(known: Known, now: Recipe, name: str, values: Sequence[float], *, exclude_seen: bool) -> list[Recipe]:
    """Return the recipes to try for one setting: none where it can make no difference here."""
    is_small = is_small_enough(known)
    pointless = {
        "ridge": not is_small,
        "penalty": not now.ridge,
        "low_rank": not is_small or len(known.seen.ids) > EXACT_TOKENS,  # beyond, its directions cost seconds
        "cosine": not is_small,
        "source_power": now.ridge >= 1,
        "target_power": now.ridge >= 1,
        "content": not len(known.content.rows.columns),
        "taste": not len(known.content.rows.columns) or not now.content,
        "repeat": exclude_seen,  # nothing seen is recommended, whatever it scores
    }
    if pointless.get(name):
        return []
    recipes = [now.changed({name: value}) for value in values if value != getattr(now, name)]
    return [one for one in recipes if one.ridge + one.cosine + one.low_rank <= 1]


def _is_near(name: str, values: Sequence[float], now: Recipe, other: Recipe) -> bool:
    """Return whether a candidate is next to the present value, among the candidates and the default."""
    line = sorted({*values, getattr(now, name), getattr(Recipe(), name)})
    return abs(line.index(getattr(now, name)) - line.index(getattr(other, name))) == 1


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


def _trial(name: str, value: Any, found: NDArray[np.float64], *, taken: bool) -> dict[str, Any]:
    return {"tried": name, "value": value, "ndcg_at_10": round(float(found.mean()), 5), "taken": bool(taken)}
