"""Which event types may speak, and how loudly: only what foretells held-out events better by more than noise."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from beckon.learning.content import Content
from beckon.learning.evaluation import Targets, gains, model_ranks, paired_difference, targets_at
from beckon.learning.model import Model, fit
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import KINDS, Sequences

# Standard errors of the paired difference: a type's weight rests on few people, and must not change every night.
LOUDER = 2.0
FEWEST_EVENTS = 100
FEWEST_TARGETS = 100
MOST_TARGETS = 2_000
# A view weighs 1. Each type is tried in turn, with the winners of those before.
WEIGHTS: tuple[tuple[str, tuple[float, ...]], ...] = tuple(
    (kind, (0.5, 2.0, 4.0)) for kind in ("click", "cart", "purchase", "rating")
)
CUSTOM = KINDS.index("custom")

log = logging.getLogger(__name__)


def hearing(told: Sequences, content: Content, start: Recipe, may_go_on: Callable[[], bool]) -> Recipe:
    """Return the recipe that hears customs too, if that foretells the other events better by more than noise.

    `told` are the events before any holdout, with customs. Both ways are fitted and judged on the same people's last
    events that are no customs.
    """
    customs = int((told.kinds == CUSTOM).sum())
    if start.event_weights.get("custom") or customs < FEWEST_EVENTS or not may_go_on():
        return start
    with_customs = replace(start, event_weights={**start.event_weights, "custom": 1.0})
    (one, without), (other, with_them) = (_foretold(told, content, recipe) for recipe in (start, with_customs))
    _, ours, theirs = np.intersect1d(one, other, return_indices=True)
    if len(ours) < FEWEST_TARGETS:
        return start
    difference, error = paired_difference(with_them[theirs], without[ours])
    log.info("customs heard: N@10 %+.5f, standard error %.5f", difference, error)
    return with_customs if difference > LOUDER * error else start


def weighing(
    model: Model, targets: Targets, *, exclude_seen: bool, may_go_on: Callable[[], bool]
) -> tuple[Recipe, Sequence[Mapping[str, Any]]]:
    """Return the model's recipe with the weights of event types that foretell `targets` best, and every trial.

    Weights act in the histories that score; what is counted is who met what. Types of which histories have fewer than
    100 events keep their weight.
    """
    chosen, some, best = model.recipe, targets.some(MOST_TARGETS), None
    trace: list[dict[str, Any]] = []
    for kind, weights in WEIGHTS:
        if len(some) < FEWEST_TARGETS or not chosen.event_weights.get(kind) or some.of(kind) < FEWEST_EVENTS:
            continue
        for weight in weights:
            if not may_go_on():
                return chosen, trace
            if best is None:
                best = gains(model_ranks(model, some.weighed(chosen.event_weights), exclude_seen=exclude_seen))
            event_weights = {**chosen.event_weights, kind: weight}
            found = gains(model_ranks(model, some.weighed(event_weights), exclude_seen=exclude_seen))
            difference, error = paired_difference(found, best)
            taken = difference > LOUDER * error
            trace.append({"tried": kind, "value": weight, "ndcg_at_10": round(float(found.mean()), 5), "taken": taken})
            if taken:
                chosen, best = replace(chosen, event_weights=event_weights), found
    return chosen, trace


def _foretold(told: Sequences, content: Content, recipe: Recipe) -> tuple[Any, Any]:
    """Return people and the gains of their last events that are no customs, by what each did before."""
    events = told.heard(recipe.event_weights)
    plain = np.flatnonzero(events.kinds != CUSTOM)
    lasts = plain[np.flatnonzero(np.diff(events.users[plain], append=-1))]
    targets = targets_at(events, lasts, recipe.history_length).some(MOST_TARGETS)
    end_of = np.zeros(int(events.users.max(initial=0)) + 1, dtype=np.int64)
    end_of[events.users[lasts]] = lasts
    model = fit(events.where(np.arange(len(events)) < end_of[events.users]), content, recipe)
    return events.users[targets.last], gains(model_ranks(model, targets, exclude_seen=False))
