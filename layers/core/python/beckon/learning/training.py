"""One training run without any storage: choose a recipe, prove it on a holdout, fit everything."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beckon.learning.content import Content
from beckon.learning.evaluation import (
    Targets,
    gains,
    last_item_ranks,
    leave_out,
    model_ranks,
    paired_difference,
    popularity_ranks,
    summary,
    targets_at,
)
from beckon.learning.model import Model, describe, fit
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Longs
from beckon.learning.tuning import choose

# A shop of which fewer than one event in a hundred is of an item already met has no repeats to speak of.
FEW_REPEATS = 0.01
HOLDOUT_SHARE = 0.1
FEWEST_TARGETS = 100
MOST_TARGETS = 10_000
# One-sided 95 %: the difference must be beyond noise to refuse, and beyond it to replace.
CONFIDENCE = 1.645
NON_INFERIORITY = 0.02

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """A model fitted on everything, with what is known of its recipe.

    `is_better_than_nothing`: on the holdout it was not worse than popularity by more than noise.
    """

    model: Model
    exclude_seen: bool
    is_better_than_nothing: bool
    metrics: Mapping[str, Any]
    trace: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Holdout:
    """Targets, and the events that a model may be fitted on to foretell them."""

    protocol: str
    known: Sequences
    targets: Targets


def train(
    sequences: Sequences,
    tokens: Mapping[str, Sequence[str]],
    champion: Recipe | None,
    may_go_on: Callable[[], bool],
    start: Recipe | None = None,
) -> Trained:
    """Return the model fitted on all of `sequences` by the recipe that won.

    Recipes are compared, not models: the candidate is chosen on validation targets within the known events, then it
    and the champion's recipe are fitted on the known events and ranked on the holdout. The candidate replaces the
    champion's recipe only if it is not inferior: the lower bound of the paired N@10 difference is above −2 %.
    """
    start = start or Recipe()
    exclude_seen = has_few_repeats(sequences)
    content = describe(sequences.ids, tokens, start)
    split = holdout(sequences, start.history_length)
    candidate, trace = tuned(split.known, content, start, exclude_seen=exclude_seen, may_go_on=may_go_on)
    log.info("recipe chosen: %s", candidate)
    recipe, metrics, good = _judged(split, content, candidate, champion, exclude_seen=exclude_seen)
    log.info("holdout: %s", metrics)
    return Trained(fit(sequences, content, recipe), exclude_seen, good, metrics, trace)


def has_few_repeats(sequences: Sequences) -> bool:
    """Return whether people hardly ever come back to an item, so that what was seen need not be shown again."""
    return bool(len(sequences)) and float(sequences.repeats().mean()) < FEW_REPEATS


def holdout(sequences: Sequences, length: int) -> Holdout:
    """Return the temporal holdout: known is what came before the newest tenth of events.

    Targets are the last event of everybody who did something in that tenth, each after all of that person's events
    before it, as a request would see them. Where time gives too few targets (all at one moment, a small shop),
    everybody's last event is left out instead; `protocol` says which.
    """
    if len(sequences):
        cut = np.quantile(sequences.ts, 1 - HOLDOUT_SHARE, method="higher")
        places = np.flatnonzero((sequences.from_end() == 0) & (sequences.ts >= cut))
        targets = targets_at(sequences, places, length)
        if len(targets) >= FEWEST_TARGETS and (sequences.ts < cut).any():
            return Holdout("temporal", sequences.where(sequences.ts < cut), targets.some(MOST_TARGETS))
    targets = leave_out(sequences, 0, length)
    return Holdout("leave-one-out", sequences.where(sequences.from_end() > 0), targets.some(MOST_TARGETS))


def tuned(
    known: Sequences, content: Content, start: Recipe, *, exclude_seen: bool, may_go_on: Callable[[], bool]
) -> tuple[Recipe, Sequence[Mapping[str, Any]]]:
    """Return the recipe chosen on everybody's last known event, and the search's trace."""
    targets = leave_out(known, 0, start.history_length)
    if not len(targets) or not may_go_on():
        return start, ()
    model = fit(known.where(known.from_end() > 0), content, start)
    choice = choose(model, targets, exclude_seen=exclude_seen, may_go_on=may_go_on)
    return choice.recipe, choice.trace


def _judged(
    split: Holdout, content: Content, challenger: Recipe, champion: Recipe | None, *, exclude_seen: bool
) -> tuple[Recipe, Mapping[str, Any], bool]:
    """Return the recipe that wins on the holdout, the metrics, and whether it is worth serving."""

    def ranks(recipe: Recipe) -> Longs:
        return model_ranks(fit(split.known, content, recipe), split.targets, exclude_seen=exclude_seen)

    won, best = challenger, ranks(challenger)
    metrics: dict[str, Any] = {"protocol": split.protocol}
    if champion is not None and champion != challenger and len(split.targets):
        theirs = ranks(champion)
        difference, error = paired_difference(gains(best), gains(theirs))
        replaces = difference - CONFIDENCE * error > -NON_INFERIORITY * float(gains(theirs).mean())
        metrics["champion"] = summary(theirs, split.targets)
        metrics["challenger"] = {**summary(best, split.targets), "replaces": replaces}
        if not replaces:
            won, best = champion, theirs
    popular = popularity_ranks(split.known, split.targets, exclude_seen=exclude_seen)
    metrics["holdout"] = summary(best, split.targets)
    metrics["popularity"] = summary(popular, split.targets)
    metrics["last_item"] = summary(last_item_ranks(split.targets), split.targets)
    difference, error = paired_difference(gains(best), gains(popular))
    return won, metrics, difference + CONFIDENCE * error >= 0
