"""The prior: how much popularity counts and how fast it fades is settled together, on held-out events."""

import random

import pyarrow as pa
import pytest

from beckon.learning.content import content_of
from beckon.learning.evaluation import gains, leave_out, model_ranks
from beckon.learning.members.contract import Known
from beckon.learning.model import fit_known
from beckon.learning.popular import EVER_MS, settle
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import Sequences, sequences_from
from beckon.values import DAY_MS
from tests.learning_shop import NOW

ITEMS = [f"i{n:03}" for n in range(200)]


def shop() -> Sequences:
    """Two years of visits of two items each; the favourites are always the same."""
    chance = random.Random(6)
    rows = []
    for n in range(600):
        day = n * 730 // 600
        for step in range(2):
            item = chance.randrange(6) if chance.random() < 0.6 else chance.randrange(200)
            rows.append({"user_key": f"p{n:03}", "ts": NOW + day * DAY_MS + step, "item": ITEMS[item], "type": "view"})
    return sequences_from(pa.Table.from_pylist(rows), ITEMS, EVENT_WEIGHTS)


def settled() -> tuple[Recipe, list]:
    found, recipe = shop(), Recipe(trend_half_life_ms=DAY_MS)
    known = Known.of(found.where(found.from_end() > 0), content_of(found.ids, {}, 4), recipe.user_events)
    targets = leave_out(found, 0, 50)
    chosen, trace = settle(known, recipe, targets, exclude_seen=False, may_go_on=lambda: True)
    better = gains(model_ranks(fit_known(known, chosen), targets, exclude_seen=False)).mean()
    assert better == pytest.approx(max(one["ndcg_at_10"] for one in trace), abs=0.005)  # but for ties
    assert settle(known, recipe, targets, exclude_seen=False, may_go_on=lambda: False) == (recipe, ())
    return chosen, list(trace)


def test_favourites_that_last_are_not_forgotten() -> None:
    chosen, trace = settled()
    assert chosen.trend_half_life_ms == EVER_MS
    assert sum(one["taken"] for one in trace) == 1


def test_shops_of_few_events_keep_the_prior_they_start_with() -> None:
    found = shop()
    some = found.where(found.users < 40)
    known = Known.of(some.where(some.from_end() > 0), content_of(some.ids, {}, 4), 100)
    assert settle(known, Recipe(), leave_out(some, 0, 50), exclude_seen=False, may_go_on=lambda: True)[1] == ()
