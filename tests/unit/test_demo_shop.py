"""The simulated shop: everything from its seed, taste that decides, and shoppers who can be made blind."""

from itertools import pairwise

import numpy as np
import pytest

from infra.demo import experiment
from infra.demo.behaviour import LOOKS_ON, look_down, wander
from infra.demo.experiment import AGAINST_TRENDING, Plan, Shown, assign, make_world, past, stream, visit
from infra.demo.messages import bad_messages
from infra.demo.shop import invite, open_shop

PLAN = Plan(seed=7, past_shoppers=40, test_shoppers=30)


class MemoryLoop:
    """A loop that serves fixed lists and keeps what it is told."""

    def __init__(self, lists):
        self.lists, self.sent = lists, []

    def now(self):
        return 1_700_000_000_000  # a clock too coarse to tell one action from the next

    def send(self, messages):
        self.sent.extend(messages)

    def show(self, _shopper, surface, k):
        return Shown(f"rec-{len(self.sent)}", tuple(self.lists[surface][:k]))


@pytest.fixture
def world():
    return make_world(PLAN)


def liked(world, number, *, most):
    order = np.argsort(world.shopper(number).liking)
    return [int(item) for item in (order[::-1] if most else order)[:8]]


def test_the_same_seed_gives_the_same_past_and_another_seed_another():
    until = 1_700_000_000_000
    first, again = past(make_world(PLAN), until), past(make_world(PLAN), until)
    assert first == again
    assert first != past(make_world(Plan(seed=8, past_shoppers=40)), until)


def test_the_past_is_in_time_order_with_ids_of_its_own_and_ends_before_the_test(world):
    until = 1_700_000_000_000
    messages = past(world, until)
    assert [m["timestamp"] for m in messages] == sorted(m["timestamp"] for m in messages)
    assert len({m["messageId"] for m in messages}) == len(messages)
    assert messages[-1]["timestamp"] < "2023-11-14T22:13:20.000Z"
    assert {m["event"] for m in messages} >= {"view", "search", "cart", "purchase"}


def test_items_say_what_they_are_but_not_who_likes_them():
    item = open_shop(np.random.default_rng(1)).products[0].to_item()
    assert set(item) == {"id", "title", "categories", "attributes", "price", "currency"}


def test_what_goes_with_an_item_is_of_the_next_category_and_not_the_other_way_round():
    shop = open_shop(np.random.default_rng(1))
    assert (shop.companions.sum(axis=1) == 3).all()
    assert not (shop.companions & shop.companions.T).any()
    first, companion = np.argwhere(shop.companions)[0]
    assert (shop.products[first].category, shop.products[companion].category) == ("tea", "cups")


def test_a_taste_is_sparse_and_its_liking_standardised():
    shopper = invite(open_shop(np.random.default_rng(1)), "s", np.random.default_rng(2))
    assert np.count_nonzero(shopper.taste) == 6
    assert shopper.liking.mean() == pytest.approx(0, abs=1e-9)
    assert shopper.liking.std() == pytest.approx(1)


def test_liked_items_are_clicked_far_more_than_disliked_ones(world):
    clicks = {True: 0, False: 0}
    for number in range(200):
        for most in clicks:
            rng = np.random.default_rng(number)
            looked = look_down(world.shop, world.shopper(number), liked(world, number, most=most), None, rng)
            clicks[most] += sum(action.kind == "click" for action in looked)
    assert clicks[True] > 100
    assert clicks[False] < 10


def test_a_lower_place_is_looked_at_less_often(world):
    looks = np.zeros(8)
    for number in range(300):
        shown = liked(world, number, most=False)  # so that no click ends the list early
        looked = look_down(world.shop, world.shopper(number), shown, None, np.random.default_rng(number))
        for action in looked:
            if action.kind == "impression":
                looks[action.position - 1] += 1
    assert looks[0] == 300
    assert looks[7] / looks[0] == pytest.approx(LOOKS_ON**7, abs=0.07)
    assert (np.diff(looks) < 0).all()


def test_what_goes_with_the_last_item_is_clicked_more(world):
    last = 5
    shown = [int(item) for item in np.flatnonzero(world.shop.companions[last])]
    with_last = without = 0
    for number in range(400):
        for before in (last, None):
            looked = look_down(world.shop, world.shopper(number), shown, before, np.random.default_rng(number))
            clicked = any(action.kind == "click" for action in looked)
            with_last, without = with_last + (clicked and before == last), without + (clicked and before is None)
    assert with_last > 2 * without


def test_a_blind_shopper_does_the_same_whatever_is_shown(world):
    def kinds(shown, number):
        looked = look_down(world.shop, world.shopper(number), shown, 5, np.random.default_rng(number), blind=True)
        return [(action.kind, action.position) for action in looked]

    for number in range(50):
        assert kinds(liked(world, number, most=True), number) == kinds(liked(world, number, most=False), number)


def test_arms_are_halves_and_never_change():
    arms = [assign(1, f"shopper-{number:04d}") for number in range(20_000)]
    assert arms == [assign(1, f"shopper-{number:04d}") for number in range(20_000)]
    assert 9_720 <= arms.count("treatment") <= 10_280
    assert arms != [assign(2, f"shopper-{number:04d}") for number in range(20_000)]


def test_half_of_the_testers_are_known_from_the_past(world):
    testers = world.testers()
    assert len(set(testers)) == 30
    assert sum(number < PLAN.past_shoppers for number in testers) == 15


def test_wandering_in_the_test_is_the_same_whatever_the_arm_and_the_lists(world, monkeypatch):
    def wandered(arm, lists):
        monkeypatch.setattr(experiment, "assign", lambda *_: arm)
        loop = MemoryLoop({"trending": lists, "home": lists})
        for number in range(20):
            visit(world, number, loop, AGAINST_TRENDING)
        return [
            (m["messageId"], m["event"], m["properties"].get("item"))
            for m in loop.sent
            if "rec_id" not in m["properties"]
        ]

    ids = [product.id for product in world.shop.products]
    assert wandered("control", ids[:8]) == wandered("treatment", ids[50:58])


def test_a_visit_tells_the_truth_of_what_it_sent(world):
    loop = MemoryLoop({"trending": ["p001", "p100", "p200"], "home": [f"p{n:03d}" for n in range(1, 320, 40)]})
    for number in range(30):
        before = len(loop.sent)
        truth = visit(world, number, loop, AGAINST_TRENDING)
        sent = loop.sent[before:]
        assert truth.events == len(sent)
        assert truth.impressions == sum(m["event"] == "impression" for m in sent)
        assert truth.orders == tuple(m["properties"]["order_id"] for m in sent if m["event"] == "purchase")
        assert all(m["timestamp"] < later["timestamp"] for m, later in pairwise(sent))
        assert truth.lists == 1 + min(2, truth.clicks)


def test_bad_messages_are_bad_in_five_ways_under_ids_of_their_own(world):
    good = past(world, 1_700_000_000_000)[:5]
    bad = list(bad_messages(good, 1_700_000_000_000))
    assert len({message["messageId"] for message in bad} - {message["messageId"] for message in good}) == 5
    assert [b != g | {"messageId": b["messageId"]} for b, g in zip(bad, good, strict=True)] == [True] * 5


def test_a_walk_has_one_view_at_least(world):
    for number in range(50):
        walk = wander(world.shop, world.shopper(number), stream(1, "walk", number))
        assert any(action.kind == "view" for action in walk)
