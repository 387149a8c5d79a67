"""One training run without any storage: choose a recipe, prove it on a holdout, fit everything."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beckon.learning.coldstart import has_few_repeats, strangers, warmth
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
from beckon.learning.hearing import hearing, weighing
from beckon.learning.members.contract import Known
from beckon.learning.model import Model, describe, fit, fit_known
from beckon.learning.popular import EVER_MS, settle
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Longs
from beckon.learning.tuning import choose

HOLDOUT_SHARE = 0.1
FEWEST_TARGETS = 100
MOST_TARGETS = 10_000
# One-sided 95 %: the difference must be beyond noise to refuse, and beyond it to replace.
CONFIDENCE = 1.645
NON_INFERIORITY = 0.02
# Fewer targets than these show nothing, neither for a recipe nor against it.
FEWEST_JUDGES = 20
# What is served where nothing foretells better: popularity, lately or ever, and all else breaks its ties.
POPULARITY: Sequence[dict[str, Any]] = (
    {"prior": 1_000.0, "repeat": 0.0},
    {"prior": 1_000.0, "repeat": 0.0, "trend_half_life_ms": EVER_MS},
)

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
    """Targets, and the events that a model may be fitted on to foretell them; `new`: first events of new people."""

    protocol: str
    known: Sequences
    targets: Targets
    new: Targets | None = None


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
    champion's recipe only if it is not inferior: the lower bound of the paired N@10 difference is above −2 %. Where
    the winner foretells worse than popularity, popularity is served. Events of machines are left out of everything.
    """
    start = start or Recipe()
    told = sequences.of_people()
    content = describe(told.ids, tokens, start)
    start = hearing(before_holdout(told), content, start, may_go_on)
    heard = told.heard(start.event_weights)
    exclude_seen = has_few_repeats(heard)
    split = holdout(heard, start.history_length)
    candidate, trace = tuned(split.known, content, start, exclude_seen=exclude_seen, may_go_on=may_go_on)
    log.info("recipe chosen: %s", candidate)
    recipe, metrics, good = _judged(split, content, candidate, champion, exclude_seen=exclude_seen)
    log.info("holdout: %s", metrics)
    return Trained(fit(told.heard(recipe.event_weights), content, recipe), exclude_seen, good, metrics, trace)


def holdout(sequences: Sequences, length: int) -> Holdout:
    """Return the temporal holdout: known is what came before the newest tenth of events.

    Targets are the last event of everybody who did something in that tenth, each after all of that person's events
    before it, as a request would see them. Where time gives too few targets (all at one moment, a small shop),
    everybody's last event is left out instead; `protocol` says which. What a served list brought about is no target:
    the champion wrote the lists, and would be judged by its own success.
    """
    if len(sequences):
        cut = np.quantile(sequences.ts, 1 - HOLDOUT_SHARE, method="higher")
        targets = targets_at(sequences, sequences.newest(sequences.ts >= cut), length)
        if len(targets) >= FEWEST_TARGETS and (sequences.ts < cut).any():
            new = strangers(sequences, int(cut), length).some(MOST_TARGETS)
            return Holdout("temporal", sequences.where(sequences.ts < cut), targets.some(MOST_TARGETS), new)
    targets = targets_at(sequences, sequences.newest(sequences.from_end() == 0), length)
    return Holdout("leave-one-out", sequences.where(sequences.from_end() > 0), targets.some(MOST_TARGETS))


def before_holdout(sequences: Sequences) -> Sequences:
    """Return what came before the newest tenth of events."""
    if not len(sequences):
        return sequences
    return sequences.where(sequences.ts < np.quantile(sequences.ts, 1 - HOLDOUT_SHARE, method="higher"))


def tuned(
    known: Sequences, content: Content, start: Recipe, *, exclude_seen: bool, may_go_on: Callable[[], bool]
) -> tuple[Recipe, Sequence[Mapping[str, Any]]]:
    """Return the recipe chosen on everybody's last known event, and the search's trace."""
    targets = leave_out(known, 0, start.history_length)
    if not len(targets) or not may_go_on():
        return start, ()
    learnt = Known.of(known.where(known.from_end() > 0), content, start.user_events)
    choice = choose(learnt, start, targets, exclude_seen=exclude_seen, may_go_on=may_go_on)
    settled, priors = settle(learnt, choice.recipe, targets, exclude_seen=exclude_seen, may_go_on=may_go_on)
    model = fit_known(learnt, settled)
    recipe, loudness = weighing(model, targets, exclude_seen=exclude_seen, may_go_on=may_go_on)
    return recipe, (*choice.trace, *priors, *loudness)


def _judged(
    split: Holdout, content: Content, challenger: Recipe, champion: Recipe | None, *, exclude_seen: bool
) -> tuple[Recipe, Mapping[str, Any], bool]:
    """Return the recipe that wins on the holdout, the metrics, and whether it is worth serving."""

    def ranks(recipe: Recipe, targets: Targets) -> Longs:
        model = fit(split.known.heard(recipe.event_weights), content, recipe)
        return model_ranks(model, targets.weighed(recipe.event_weights), exclude_seen=exclude_seen)

    won, best = challenger, ranks(challenger, split.targets)
    metrics: dict[str, Any] = {"protocol": split.protocol}
    if champion is not None and champion != challenger and len(split.targets):
        theirs = ranks(champion, split.targets)
        difference, error = paired_difference(gains(best), gains(theirs))
        replaces = difference - CONFIDENCE * error > -NON_INFERIORITY * float(gains(theirs).mean())
        metrics["champion"] = summary(theirs, split.targets)
        metrics["challenger"] = {**summary(best, split.targets), "replaces": replaces}
        if not replaces:
            won, best = champion, theirs
    popular = popularity_ranks(split.known, split.targets, exclude_seen=exclude_seen)
    if not _stands(best, popular):
        resigned = [Recipe.from_record(won.to_record() | changes) for changes in POPULARITY]
        found = [ranks(one, split.targets) for one in resigned]
        place = int(np.argmax([gains(one).mean() for one in found]))
        won, best = resigned[place], found[place]
    metrics["is_popularity"] = won.prior == POPULARITY[0]["prior"]
    metrics["holdout"] = summary(best, split.targets)
    metrics["popularity"] = summary(popular, split.targets)
    metrics["last_item"] = summary(last_item_ranks(split.targets), split.targets)
    metrics["cold_start"] = warmth(best, popular, split.targets, split.known)
    if split.new is not None:
        theirs = popularity_ranks(split.known, split.new, exclude_seen=exclude_seen)
        unknown = warmth(ranks(won, split.new), theirs, split.new, split.known)
        metrics["cold_start"]["people"]["0"] = unknown["people"]["0"]
    return won, metrics, _stands(best, popular)


def _stands(ours: Longs, popular: Longs) -> bool:
    """Return whether nothing shows that `ours` ranks worse than popularity."""
    difference, error = paired_difference(gains(ours), gains(popular))
    return len(ours) < FEWEST_JUDGES or difference + CONFIDENCE * error >= 0
