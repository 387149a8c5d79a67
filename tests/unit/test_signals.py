"""What events of each type may say: customs only where they help, machines nothing, what was taken back nothing."""

import random
from dataclasses import replace

import pyarrow as pa
import pytest

from beckon.learning.coldstart import has_few_repeats, strangers, warmth
from beckon.learning.content import content_of
from beckon.learning.evaluation import leave_out, popularity_ranks
from beckon.learning.hearing import hearing, weighing
from beckon.learning.model import fit
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import KINDS, MOST_A_DAY, Sequences, sequences_from
from beckon.values import DAY_MS
from tests.learning_shop import NOW

HEARD = {**EVENT_WEIGHTS, "custom": 1.0}
RING = [f"i{n:02}" for n in range(40)]


def told(*rows: tuple[str, str, str | None], step: int = 60_000) -> Sequences:
    """(person, type, item) rows, each a step after the one before, in the lake's order."""
    table = pa.Table.from_pylist(
        [
            {"user_key": user, "ts": NOW + n * step, "item": item, "type": kind, "order_id": None}
            for n, (user, kind, item) in enumerate(rows)
        ],
        schema=pa.schema([(n, pa.string()) for n in ("user_key", "item", "type", "order_id")] + [("ts", pa.int64())]),
    )
    return sequences_from(table.sort_by([("user_key", "ascending"), ("ts", "ascending")]), (), HEARD)


def visitors(custom: str, people: int = 300) -> list[tuple[str, str, str]]:
    """Views of anything, then of the item after the one that a custom event named, or in spite of it."""
    chance = random.Random(3)
    rows = []
    for n in range(people):
        for _ in range(3):
            at = chance.randrange(40)
            named = {"telling": at, "idle": chance.randrange(40)}[custom]
            rows += [(f"p{n:03}", "view", RING[chance.randrange(40)]), (f"p{n:03}", "custom", RING[named])]
            rows.append((f"p{n:03}", "view", RING[(at + 1) % 40]))
    return rows


def heard(custom: str) -> float:
    everything = told(*visitors(custom))
    content = content_of(everything.ids, {}, 4)
    return hearing(everything, content, Recipe(), lambda: True).event_weights["custom"]


def test_customs_that_name_an_item_say_nothing_unless_they_foretell_the_next() -> None:
    assert EVENT_WEIGHTS["custom"] == 0
    assert heard("telling") == 1
    assert heard("idle") == 0


def test_customs_are_not_tried_when_time_is_out() -> None:
    everything = told(*visitors("telling"))
    recipe = hearing(everything, content_of(everything.ids, {}, 4), Recipe(), lambda: False)
    assert recipe.event_weights["custom"] == 0


def test_what_was_taken_back_is_no_event_and_only_its_own_persons() -> None:
    found = told(
        ("ann", "cart", "a"), ("bob", "cart", "a"), ("ann", "remove", "a"), ("ann", "view", "b"), ("bob", "refund", "c")
    )
    assert [(int(u), found.ids[i]) for u, i in zip(found.users, found.items, strict=True)] == [(0, "b"), (1, "a")]


def test_accounts_faster_than_people_are_left_out_unless_nobody_else_is_there() -> None:
    fast = [("bot", "view", RING[n % 2]) for n in range(MOST_A_DAY + 1)]
    slow = [("ann", "view", "i07"), ("ann", "view", "i08")]
    assert len(told(*fast, *slow, step=1).of_people()) == 2
    assert len(told(*fast, step=1).of_people()) == len(fast)
    assert len(told(*fast, *slow, step=DAY_MS // 400).of_people()) == len(fast) + 2


def test_types_are_weighed_alike_in_sequences_and_in_targets() -> None:
    found = told(("ann", "view", "a"), ("ann", "purchase", "b"), ("ann", "custom", "c"), ("ann", "view", "d"))
    targets = leave_out(found, 0, 5).weighed({"view": 1, "purchase": 3})
    assert targets.histories.weights.tolist() == [[0, 3, 1, 0, 0]]
    assert leave_out(found.weighed({"view": 1, "purchase": 3}), 0, 5).histories.weights.tolist() == [[0, 3, 1, 0, 0]]
    assert [targets.of(kind) for kind in KINDS] == [1, 0, 0, 1, 0, 1]
    assert found.heard({"purchase": 3}).weights.tolist() == [3]


@pytest.mark.parametrize(("repeats", "few"), [(0, True), (1, False), (3, False)])
def test_few_repeats_takes_evidence(repeats, few) -> None:
    once = [(f"p{n}", "view", RING[m]) for n in range(30) for m in range(10)]
    assert has_few_repeats(told(*once, *[("p0", "view", RING[0])] * repeats)) == few
    assert not has_few_repeats(told(*once[:250]))
    assert not has_few_repeats(told())


def test_recall_is_told_apart_by_how_much_is_known_of_item_and_person() -> None:
    known = told(*[(f"p{n}", "view", "a") for n in range(7)], *[(f"q{n}", "view", "b") for n in range(2)])
    everything = told(("ann", "view", "a"), ("bob", "view", "a"), ("bob", "view", "b"))
    known = replace(known, ids=everything.ids)
    new = strangers(everything, NOW, 5)
    assert [everything.ids[i] for i in new.items] == ["a", "a"]
    assert new.histories.items.max() == -1
    targets = leave_out(everything, 0, 5)
    found = warmth(popularity_ranks(known, targets, exclude_seen=False), targets.items * 0 + 99, targets, known)
    assert found["items"]["1-5"] == {"recall_at_10": 1.0, "popularity": 0.0, "targets": 1}
    assert found["items"][">5"]["targets"] == found["items"]["0"]["targets"] == 0
    assert [one["targets"] for one in found["people"].values()] == [0, 1, 0, 0]


def tuned(*, carts_tell: bool) -> float:
    """People view and cart anything by turns; what they view next follows the cart (or the view) of the two."""
    chance = random.Random(4)
    rows = []
    for n in range(400):
        cart, view = chance.randrange(40), chance.randrange(40)
        rows += [(f"p{n:03}", "cart", RING[cart]), (f"p{n:03}", "view", RING[view])]
        rows.append((f"p{n:03}", "view", RING[((cart if carts_tell else view) + 1) % 40]))
    found = told(*rows).heard(EVENT_WEIGHTS)
    ring = told(*[(f"q{n}-{m}", "view", RING[(m + step) % 40]) for n in range(9) for m in range(40) for step in (0, 1)])
    model = fit(ring.heard(EVENT_WEIGHTS), content_of(ring.ids, {}, 4), Recipe())
    targets = leave_out(found, 0, 50)
    recipe, trace = weighing(model, targets, exclude_seen=False, may_go_on=lambda: True)
    assert [one["tried"] for one in trace] == ["cart"] * 3
    assert weighing(model, targets, exclude_seen=False, may_go_on=lambda: False)[1] == []
    return recipe.event_weights["cart"]


def test_a_type_of_event_is_heard_louder_only_where_it_foretells() -> None:
    assert tuned(carts_tell=True) > 1
    assert tuned(carts_tell=False) <= 1
