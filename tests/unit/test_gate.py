"""Which models may serve: broad lists, no flight to the popular, and no credit for what lists brought about."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from beckon.artefact.model import ItemTable, Serving
from beckon.conversions.model import Exposure, Slot
from beckon.learning.causes import brought_about
from beckon.learning.export import scorer_onnx
from beckon.learning.gate import Limits, checks
from beckon.learning.lists import Asked, Lists, asked_of, breadth, drift, lists_before, lists_of, most_shown
from beckon.learning.model import Histories, describe, fit, scores
from beckon.learning.packaging import reference_run, serving_of
from beckon.learning.recipe import Recipe
from beckon.learning.slots import WINDOW_MS
from beckon.learning.training import holdout
from tests.learning_shop import NOW, SHOP, TOKENS, VISITS, exposures_table, sequences

RECIPE = Recipe(prior=0.2, repeat=0.5)
BROAD = {"lists": 200, "coverage": 0.4, "popularity": 20.0}


def verdict(**more):
    known = {"probes": True, "ranking": True, "new": BROAD, "old": BROAD, "is_popularity": False, "limits": Limits()}
    found = checks(**(known | more))
    return all(one["passed"] for one in found), {one["check"] for one in found if not one["passed"]}


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({}, set()),
        ({"probes": False}, {"probes"}),
        ({"ranking": False}, {"ranking"}),
        ({"new": BROAD | {"coverage": 0.01}}, {"coverage", "coverage beside the champion"}),
        ({"new": BROAD | {"coverage": 0.01}, "old": None}, {"coverage"}),
        ({"new": BROAD | {"coverage": 0.19}}, {"coverage beside the champion"}),
        ({"new": BROAD | {"coverage": 0.21}}, set()),
        ({"new": BROAD | {"popularity": 30.1}}, {"popularity bias"}),
        ({"new": BROAD | {"popularity": 29.9}}, set()),
        # The champion is as narrow: to keep it would help nobody.
        ({"new": BROAD | {"coverage": 0.01}, "old": BROAD | {"coverage": 0.01}}, set()),
        # Popularity on purpose, because nothing foretold better.
        ({"new": BROAD | {"coverage": 0.01, "popularity": 99.0}, "is_popularity": True}, set()),
        # Too few people to say anything, or none.
        ({"new": BROAD | {"coverage": 0.01, "lists": 29}}, set()),
        ({"new": None}, set()),
    ],
)
def test_a_model_is_refused_for_what_it_fails_and_nothing_else(more, refused) -> None:
    assert verdict(**more) == (not refused, refused)


def test_limits_are_settings() -> None:
    narrow = BROAD | {"coverage": 0.03}
    assert not verdict(new=narrow, old=None)[0]
    assert verdict(new=narrow, old=None, limits=Limits(coverage=0.02))[0]


def test_breadth_counts_items_and_places() -> None:
    lists = Lists(np.array([[0, 1, 2], [0, 1, -1]]), np.zeros((2, 3)))
    people_of = np.array([30, 8, 1, 0, 0, 0, 0, 2, 4, 5])
    found = breadth(lists, people_of, 2)
    assert (found["lists"], found["distinct"]) == (2, 3)
    assert found["coverage"] == 3 / 6  # six places could show six of the eight items on sale
    assert found["popularity"] == pytest.approx((30 + 8 + 1 + 30 + 8) / 5)
    assert found["groups"] == [0, 0, 0, 0, 0.2, 0, 0, 0, 0.4, 0.4]  # 1 person is more than four items have
    assert most_shown(lists, "abcdefghij") == [["a", 1.0], ["b", 1.0], ["c", 0.5]]


@pytest.fixture
def shop():
    found = sequences()
    return found, fit(found, describe(found.ids, TOKENS, RECIPE), RECIPE)


def test_lists_are_the_best_that_may_be_shown(shop) -> None:
    found, model = shop
    asked = asked_of(found, 50, [1], exclude_seen=True)
    assert len(asked) == sum(len(visits) > 1 for visits in VISITS.values())
    lists = lists_of(model, asked)
    everything = scores(model, asked.histories)
    people = [person for person in sorted(VISITS) if len(VISITS[person]) > 1]
    for row, person in enumerate(people):
        banned = {found.ids.index(item) for item in VISITS[person][:-1]} | {1}
        order = sorted((i for i in range(8) if i not in banned), key=lambda i, r=row: (-everything[r, i], i))
        assert lists.items[row].tolist() == order + [-1] * (10 - len(order))


def test_the_same_model_as_its_own_forerunner_has_not_drifted(shop) -> None:
    found, model = shop
    asked = asked_of(found, 50, [], exclude_seen=False)
    serving = serving_of(model, exclude_seen=False)
    table = ItemTable(model.ids, model.ids, {}, [])
    before = lists_before(reference_run(scorer_onnx(model)), table, serving, asked, model.ids)
    mine = lists_of(model, asked)
    np.testing.assert_array_equal(before.items, mine.items)
    found = drift(mine, before, model.ids, model.ids)
    assert (found["overlap"], found["same_first"], found["items_in"], found["items_out"]) == (1.0, 1.0, 0, 0)


def test_an_older_models_lists_are_read_in_todays_items() -> None:
    """Old items x, a, b; today's a, b, c. The fake answers x and b: x is gone."""
    sent = []

    def run(inputs):
        sent.append(inputs)
        return [[0, 2]], [[9.0, 4.0]]

    asked = Asked(
        Histories(np.array([[2, 0, 1, -1]]), np.array([[1, 2, 4, 0]], dtype=np.float32)), np.ones((1, 3), bool)
    )
    serving = Serving(3, 0.5, {}, 2, exclude_seen=False)
    found = lists_before(run, ItemTable(("x", "a", "b"), (), {}, []), serving, asked, ("a", "b", "c"))
    assert sent[0]["history"].tolist() == [[-1, 1, 2]]  # c was not known; the fourth is too old for that model
    assert sent[0]["weight"].tolist() == [[1.0, 1.0, 1.0]]
    assert sent[0]["allow"].tolist() == [[False, True, True]]
    assert found.items[0, :3].tolist() == [-1, 1, -1]
    moved = drift(Lists(np.array([[1, 2]]), np.array([[5.0, 1.0]])), found, "abc", "xab")
    assert (moved["overlap"], moved["items_in"], moved["items_out"]) == (0.5, 1, 1)
    assert moved["same_first"] is None  # the old list began with what is gone


EVENTS = ("user_key", "type", "item", "ts", "rec_id")


def caused(rows, *exposures):
    table = pa.table(
        {
            name: pa.array(list(column), pa.int64() if name == "ts" else pa.string())
            for name, column in zip(EVENTS, zip(*rows, strict=True), strict=True)
        }
    )
    return brought_about(table, exposures_table(list(exposures))).tolist()


def served(person, ts, *items):
    slots = tuple(Slot(item, n, 1.0, 1.0) for n, item in enumerate(items, start=1))
    return Exposure(SHOP, f"r-{person}-{ts}", person, "home", "personal", "m", ts, slots)


def test_what_lists_brought_about_is_told_from_what_they_did_not() -> None:
    rows = [
        (("ann", "view", "a", NOW - 5, None), False),  # before anything was shown
        (("ann", "impression", "a", NOW + 1, "r1"), False),  # seen is not done
        (("ann", "click", "a", NOW + 2, None), True),  # shown a moment ago
        (("ann", "view", "a", NOW + 3, None), True),  # the page the click led to
        (("ann", "view", "b", NOW + 4, None), False),  # shown as well, but not clicked: found otherwise
        (("ann", "purchase", "a", NOW + 2 + WINDOW_MS, None), True),
        (("ann", "purchase", "a", NOW + 3 + WINDOW_MS, None), False),  # a week after the click
        (("bob", "click", "a", NOW + 2, None), False),  # shown to somebody else
        (("bob", "cart", "c", NOW + 3, "r9"), True),  # names its list itself
        (("bob", "view", "c", NOW + 4, None), True),
        (("bob", "search", None, NOW + 5, None), False),
        (("eve", "click", "a", NOW + 9 + WINDOW_MS, None), False),  # shown too long ago
    ]
    found = caused([row for row, _ in rows], served("ann", NOW, "a", "b"), served("eve", NOW, "a"))
    assert found == [wanted for _, wanted in rows]
    assert caused([row for row, _ in rows[:8]]) == [False] * 8  # nothing was served, and no event names a list


def test_targets_are_what_came_by_itself() -> None:
    visits = {f"p{n:03}": "abcde"[n % 4 :] + "ab" for n in range(150)}
    free = sequences(visits)
    is_last = free.from_end() == 0
    every_third = is_last & (free.users % 3 == 0)
    judged = replace(free, caused=every_third)
    plain, found = holdout(free, 50), holdout(judged, 50)
    assert len(found.targets) < len(plain.targets)
    hit = set(found.targets.last.tolist())
    assert not hit & set(np.flatnonzero(every_third).tolist())
    # Who did something of their own in the same time is judged by that instead.
    users = free.users[found.targets.last]
    assert len(set(users.tolist())) == len(users)
