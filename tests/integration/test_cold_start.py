"""Shops of next to no events rank no worse than popularity, and one account does not move everybody's lists."""

import gzip

import numpy as np
import pytest

from beckon.learning.coldstart import strangers
from beckon.learning.evaluation import Targets, gains, model_ranks, paired_difference, popularity_ranks, targets_at
from beckon.learning.model import scores
from beckon.learning.recipe import EVENT_WEIGHTS
from beckon.learning.sequences import Sequences, sequences_from
from beckon.learning.training import Trained, train
from infra.accuracy.accuracy import events_in, tokens_in
from infra.bench.signals import bulk, events_of_past, sequences_of, tokens_of
from infra.demo.experiment import Plan, make_world

NOISE = 2.0  # standard errors of the paired difference


def hold_to_popularity(trained: Trained, known: Sequences, targets: Targets) -> None:
    heard = targets.weighed(trained.model.recipe.event_weights)
    ours = gains(model_ranks(trained.model, heard, exclude_seen=trained.exclude_seen))
    popular = gains(popularity_ranks(known, targets, exclude_seen=trained.exclude_seen))
    difference, error = paired_difference(ours, popular)
    assert difference + NOISE * error >= 0, f"{ours.mean():.4f}, popularity {popular.mean():.4f}, error {error:.4f}"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("events", [0, 10, 100, 1_000])
def test_with_few_events_in_the_whole_simulated_shop_ranking_is_no_worse_than_popularity(seed, events) -> None:
    world = make_world(Plan(seed, past_shoppers=600))
    everything = sequences_of(events_of_past(world))
    cut = int(np.sort(everything.ts)[events])
    known = everything.where(everything.ts < cut)
    trained = train(known, tokens_of(world), None, lambda: True)
    last = np.flatnonzero((everything.from_end() == 0) & (everything.ts >= cut))
    warm, new = targets_at(everything, last, 50), strangers(everything, cut, 50)
    assert len(known) == events
    assert np.isfinite(scores(trained.model, warm.histories.rows(0, 9))).all()
    assert not trained.exclude_seen
    for targets in (warm, new):
        hold_to_popularity(trained, known, targets)


@pytest.mark.slow
@pytest.mark.parametrize("events", [10, 1_000])
def test_with_the_first_rows_of_a_real_shop_ranking_is_no_worse_than_popularity(shared, tmp_path, events) -> None:
    data = shared / "data" / "amazon-beauty.csv.gz"
    if not data.exists():
        pytest.skip("no amazon-beauty data")
    with gzip.open(data, "rt") as file:
        (tmp_path / "first.csv").write_text("".join(next(file) for _ in range(events + 1)))
    tokens = dict(tokens_in(shared / "data" / "amazon-beauty-items.jsonl.gz"))
    found = sequences_from(events_in(tmp_path / "first.csv")[0], tokens, EVENT_WEIGHTS)
    known = found.where(found.from_end() > 0)
    trained = train(known, tokens, None, lambda: True)
    hold_to_popularity(trained, known, targets_at(found, np.flatnonzero(found.from_end() == 0), 50))


def test_an_account_of_a_hundred_thousand_events_does_not_move_others_lists() -> None:
    found = {one["account"]: one for one in bulk(1)}
    assert len(found) == 6
    for account, one in found.items():
        assert one["ndcg_gain"]["high"] >= 0
        # An ordinary person more or less keeps 99.9 %; whoever stays just within what a person could do, 98 %.
        least = 1 if account.startswith("fast") else 0.999 if "loops" in account else 0.97
        assert one["share_of_lists_kept"] >= least
