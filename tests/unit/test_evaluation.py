"""Full ranking, ties against us, repeats and new items apart."""

import math
from dataclasses import replace

import numpy as np
import pytest

from beckon.learning.evaluation import (
    MISSED,
    gains,
    last_item_ranks,
    leave_out,
    model_ranks,
    paired_difference,
    popularity_ranks,
    recalls,
    summary,
    targets_at,
)
from beckon.learning.model import Histories, describe, fit, scores
from beckon.learning.recipe import Recipe
from beckon.values import DAY_MS
from tests.learning_shop import TOKENS, VISITS, sequences

RECIPE = Recipe(prior=0.05, repeat=0.5)


@pytest.fixture
def model():
    found = sequences()
    known = found.where(found.from_end() > 0)
    return fit(known, describe(found.ids, TOKENS, RECIPE), RECIPE)


def ranked_by_sorting(row, wanted, banned):
    """Oracle: sort everything, the target after all that score the same."""
    order = sorted(range(len(row)), key=lambda j: (-row[j], j == wanted))
    order = [j for j in order if j not in banned]
    return order.index(wanted) + 1 if wanted in order else MISSED


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_ranks_are_those_of_a_sorted_list_with_the_target_last_among_equals(model, exclude_seen) -> None:
    found = sequences()
    targets = leave_out(found, 0, 50)
    ranks = model_ranks(model, targets, exclude_seen=exclude_seen)
    everything = scores(model, targets.histories)
    people = [p for p in sorted(VISITS) if len(VISITS[p]) > 1]
    assert len(targets) == len(people) == 6
    for row, person, rank, target in zip(everything, people, ranks, targets.items, strict=True):
        assert found.ids[target] == VISITS[person][-1]
        banned = {found.ids.index(i) for i in VISITS[person][:-1]} if exclude_seen else set()
        assert rank == ranked_by_sorting(row, target, banned)


def test_equal_scores_are_ranked_against_us() -> None:
    found = sequences()
    targets, nothing_known = leave_out(found, 0, 50), found.where(found.ts < 0)
    assert popularity_ranks(nothing_known, targets, exclude_seen=False).tolist() == [8] * 6


def test_popularity_counts_people_not_events() -> None:
    looped, target = sequences({"ann": "cccccc", "bob": "a", "cat": "a", "dan": "bb"}), sequences({"dan": "bac"})
    assert looped.ids[:3] == target.ids[:3]
    places = leave_out(target, 0, 50)
    rank = popularity_ranks(looped, places, exclude_seen=False)
    assert rank.tolist() == [2]  # a was met by two people, c by one


def test_popularity_is_the_better_of_ever_and_lately() -> None:
    visits = {"ann": "ab", "bob": "ab", "cat": "ab", "dan": "gc", "eve": "gc"}
    found = sequences(visits)
    old = replace(found, ts=np.where(found.items < 2, found.ts - 90 * DAY_MS, found.ts))
    ends = leave_out(old, 0, 50)
    for wanted, best in ((found.ids.index("b"), 2), (found.ids.index("c"), 1)):
        some = replace(ends, items=np.full(len(ends), wanted, dtype=ends.items.dtype))
        # Ever: a and b by three, c and g by two, ties against. Lately: c, g a minute before, then a and b.
        assert popularity_ranks(old, some, exclude_seen=False).tolist() == [best] * 5


def test_the_last_item_baseline_is_the_history_newest_first() -> None:
    targets = leave_out(sequences({"ann": "abca", "bob": "abcb", "cat": "abcd"}), 0, 50)
    assert last_item_ranks(targets).tolist() == [3, 2, MISSED]


def test_histories_are_newest_first_and_of_one_person() -> None:
    found = sequences({"ann": "abc", "bob": "de"})
    targets = targets_at(found, np.array([2, 4]), 2)
    assert targets.histories.items.tolist() == [[1, 0], [3, -1]]
    assert targets.histories.weights.tolist() == [[1, 1], [1, 0]]


def test_a_person_without_history_is_no_target() -> None:
    assert len(leave_out(sequences({"fay": "f"}), 0, 50)) == 0


def test_metrics_are_those_worked_by_hand() -> None:
    ranks = np.array([1, 3, 10, 11, MISSED])
    assert recalls(ranks).tolist() == [1, 1, 1, 0, 0]
    assert gains(ranks).tolist() == pytest.approx([1, 0.5, 1 / math.log2(11), 0, 0])
    assert recalls(ranks, 1).mean() == pytest.approx(0.2)


def test_repeats_and_new_items_are_told_apart() -> None:
    targets = leave_out(sequences({"ann": "abca", "bob": "abcb", "cat": "abcd"}), 0, 50)
    found = summary(np.array([1, 20, 3]), targets)
    assert found == {
        "recall_at_10": 0.66667,
        "ndcg_at_10": 0.5,
        "targets": 3,
        "repeat": {"recall_at_10": 0.5, "ndcg_at_10": 0.5, "targets": 2},
        "new": {"recall_at_10": 1.0, "ndcg_at_10": 0.5, "targets": 1},
    }


def test_a_paired_difference_has_the_error_of_its_mean() -> None:
    mean, error = paired_difference(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, 0.0]))
    assert (mean, error) == (0.5, 0.25)
    assert paired_difference(np.empty(0), np.empty(0)) == (0.0, 0.0)


def test_scores_of_a_stranger_are_the_prior(model) -> None:
    nobody = Histories(np.array([[-1, -1]]), np.zeros((1, 2), dtype=np.float32))
    np.testing.assert_array_equal(scores(model, nobody)[0], model.prior)


def test_no_number_of_earlier_visits_overtakes_the_item_met_last(model) -> None:
    keen = model.with_recipe(Recipe(repeat=64.0))
    history = np.array([[model.ids.index("g"), *[model.ids.index("c")] * 20, model.ids.index("a")]])
    found = scores(keen, Histories(history, np.ones(history.shape, dtype=np.float32)))[0]
    assert [model.ids[index] for index in np.argsort(-found)[:2]] == ["g", "c"]
