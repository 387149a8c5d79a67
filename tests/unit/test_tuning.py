"""Which recipe validation chooses, on shops whose truth is known."""

import numpy as np
import pytest

from beckon.learning.content import content_of
from beckon.learning.evaluation import gains, leave_out, model_ranks, paired_difference
from beckon.learning.model import fit
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences
from beckon.learning.training import tuned

ITEMS = 90
MINUTE = 60_000


def always() -> bool:
    return True


def shop(people: list[list[int]]) -> Sequences:
    users = np.repeat(np.arange(len(people)), [len(one) for one in people])
    items = np.concatenate(people)
    ids = tuple(f"item-{n:03}" for n in range(ITEMS))
    size = len(items)
    ts = np.arange(size) * MINUTE
    return Sequences(
        ids, users.astype(np.int32), items.astype(np.int32), ts, np.ones(size, np.float32), np.zeros(size, np.int8)
    )


def of_many_tastes(people: int = 300) -> Sequences:
    """Everybody meets a third of the items, by taste and fame, in no order: like people who rate films."""
    chance = np.random.default_rng(3)
    taste, kind = chance.standard_normal((people, 5)), chance.standard_normal((ITEMS, 5))
    fame = 1.2 * chance.standard_normal(ITEMS)
    liking = taste @ kind.T + fame + chance.gumbel(size=(people, ITEMS))
    found = []
    for row in np.argsort(-liking, axis=1):
        met = row[: chance.integers(20, 40)].copy()
        chance.shuffle(met)
        found.append(met.tolist())
    return shop(found)


def of_steps(people: int = 300) -> Sequences:
    """Everybody goes from an item to the next of a ring, now and then elsewhere: order is all there is."""
    chance = np.random.default_rng(4)
    found = []
    for _ in range(people):
        at, seen = int(chance.integers(ITEMS)), []
        for _ in range(int(chance.integers(3, 8))):
            seen.append(at)
            at = (at + 1) % ITEMS if chance.random() < 0.6 else int(chance.integers(ITEMS))
        found.append(seen)
    return shop(found)


def chosen(known: Sequences, may_go_on=always):
    return tuned(known, content_of(known.ids, {}, 8), Recipe(), exclude_seen=True, may_go_on=may_go_on)


@pytest.fixture(scope="module")
def many_tastes():
    everything = of_many_tastes()
    known = everything.where(everything.from_end() > 0)
    return everything, known, chosen(known)


def test_dense_data_are_given_to_ridge_which_then_foretells_what_was_held_back(many_tastes) -> None:
    everything, known, (recipe, _) = many_tastes
    assert recipe.ridge > 0
    targets = leave_out(everything, 0, recipe.history_length)
    content = content_of(known.ids, {}, 8)
    ours, counts = (
        gains(model_ranks(fit(known, content, one), targets, exclude_seen=True)) for one in (recipe, Recipe())
    )
    gain, error = paired_difference(ours, counts)
    assert gain > 3 * error


def test_what_was_tried_is_told_with_what_was_taken(many_tastes) -> None:
    _, _, (recipe, trace) = many_tastes
    assert trace[0] == {"tried": "start", "value": None, "ndcg_at_10": trace[0]["ndcg_at_10"], "taken": True}
    taken = [one for one in trace if one["taken"]]
    assert len(trace) > len(taken) > 1
    for one in taken[1:]:
        if one["tried"] != "start" and one is [last for last in taken if last["tried"] == one["tried"]][-1]:
            assert getattr(recipe, one["tried"]) == one["value"]


def test_the_same_events_choose_the_same_recipe_by_the_same_way(many_tastes) -> None:
    _, known, found = many_tastes
    assert chosen(known) == found


def test_where_order_is_all_there_is_the_way_back_counts_less_and_the_last_step_most() -> None:
    recipe, _ = chosen(of_steps())
    assert recipe.backward < 1
    assert recipe.recency <= Recipe().recency


def test_when_time_is_up_what_was_chosen_so_far_stands(many_tastes) -> None:
    _, known, (_, whole) = many_tastes
    answers = iter([True] * 4 + [False] * 99)
    recipe, trace = chosen(known, lambda: next(answers))
    assert list(trace) == list(whole[: len(trace)])
    assert 1 < len(trace) < len(whole)
    assert recipe != Recipe()


def test_without_time_or_with_a_handful_of_people_the_start_stands() -> None:
    assert chosen(of_steps(), lambda: False) == (Recipe(), ())
    assert chosen(of_steps(people=30)) == (Recipe(), ())
