"""A person's profile against oracles that share no algebra with it."""

import math
import random
from datetime import UTC, datetime

import pytest

from beckon.profiles.deeds import deeds, strengths
from beckon.profiles.prices import weighted_quantile
from beckon.profiles.service import MOST_EVENTS, MOST_ITEMS, Profiles
from beckon.values import DAY_MS
from tests.profile_shop import NOW, SHOP, MemoryBehaviour, MemoryItems, event, item, outcome

SHELF = (
    item("boot", categories=["feet"], price=120.0, currency="EUR", brand="Fell", new=True),
    item("sock", categories=["feet", "sale"], price=12.0, currency="EUR", brand="Fell", new=True),
    item("cap", categories=["head"], price=30.0, currency="EUR", brand="Tor", new=True),
    item("scarf", categories=["neck"], price=45.0, currency="GBP", brand="Tor", new=True),
    item("coat", categories=["body"], price=300.0, currency="EUR", brand="Crag", new=True),
)
POINTS = {"view": 1, "click": 1, "cart": 3, "remove": -3, "purchase": 5, "refund": -5}


def profile(*rows, shelf=SHELF, keys=("ann",), retention_days=180):
    behaviour = MemoryBehaviour()
    behaviour.put(*rows)
    return Profiles(behaviour, MemoryItems(*shelf), retention_days * DAY_MS).profile(SHOP, keys, NOW)


def weights(found) -> dict[str, float]:
    return {one.tag: one.weight for one in found.interests}


def expected(history, shelf, days_to_halve=30.0) -> dict[str, float]:
    """Every tag of every item by itself: count who bears it, walk the history, halve by the day."""

    def bears(one, name, wanted):
        return wanted in one.categories if name == "category" else one.attributes.get(name) == wanted

    tags = {("category", c) for one in shelf for c in one.categories}
    tags |= {(name, one.attributes[name]) for one in shelf for name in one.attributes}
    found = {}
    for name, wanted in tags:
        bearers = [one.id for one in shelf if bears(one, name, wanted)]
        if len(bearers) < 2:
            continue
        rarity = -math.log((len(bearers) + 1) / (len(shelf) + 1))
        counted, total = set(), 0.0
        for kind, of, ago in sorted(history, key=lambda one: -one[2]):
            moment = datetime.fromtimestamp(NOW / 1000 - ago * 86_400, UTC)
            if of in bearers and (moment.date(), kind, of) not in counted:
                counted.add((moment.date(), kind, of))
                total += POINTS[kind] * math.exp(-math.log(2) * ago / days_to_halve) * rarity
        if total > 0:
            found[f"{name}={wanted}"] = total
    everything = sum(found.values())
    return {tag: total / everything for tag, total in found.items()}


def test_interests_agree_with_every_tag_counted_by_itself() -> None:
    chance = random.Random(3)
    shelf = [*SHELF, item("clog", categories=["feet"], brand="Fell"), item("mitt", categories=["sale"], brand="Fell")]
    for _ in range(30):
        history = [
            (chance.choice(list(POINTS)), chance.choice(shelf).id, round(chance.uniform(0, 90), 2)) for _ in range(12)
        ]
        rows = [event(kind, of, days=ago, message_id=f"m{n}") for n, (kind, of, ago) in enumerate(history)]
        found = weights(profile(*rows, shelf=shelf))
        assert found == pytest.approx(expected(history, shelf), rel=1e-7)  # times are whole ms
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_of_many_interests_the_strongest_are_kept() -> None:
    shelf = [item(f"i{n}", brand=f"b{n // 2:02}") for n in range(60)]
    found = profile(*(event("view", f"i{2 * n}", days=n) for n in range(30)), shelf=shelf)
    assert list(weights(found)) == [f"brand=b{n:02}" for n in range(20)]


def test_a_tag_that_everything_bears_says_nothing_and_one_that_a_single_item_bears_is_its_name() -> None:
    found = weights(profile(event("purchase", "coat"), event("view", "cap")))
    assert set(found) == {"brand=Tor"}  # not new=True, which all five bear, nor brand=Crag, which is the coat


def test_a_deed_says_half_as_much_a_half_life_later() -> None:
    found = weights(profile(event("view", "boot", days=30), event("view", "scarf")))
    assert found["brand=Tor"] == pytest.approx(2 * found["brand=Fell"])


def test_a_purchase_says_more_than_a_cart_and_a_cart_more_than_a_look() -> None:
    found = {
        kind: weights(profile(event(kind, "boot"), event("view", "cap")))["brand=Fell"]
        for kind in ("view", "cart", "purchase")
    }
    assert found["view"] < found["cart"] < found["purchase"]


def test_evidence_names_the_strongest_deeds_and_all_parts_sum_to_the_weight() -> None:
    found = profile(
        event("view", "boot", days=9, message_id="old"),
        event("cart", "sock", days=2, message_id="put"),
        event("purchase", "sock", days=1, order_id="o-1"),
    )
    tag = next(one for one in found.interests if one.tag == "brand=Fell")
    assert [(one.source, one.kind, one.item) for one in tag.evidence] == [
        ("order:o-1", "purchase", "sock"),
        ("put", "cart", "sock"),
        ("old", "view", "boot"),
    ]
    assert tag.deeds == 3
    assert sum(one.part for one in tag.evidence) == pytest.approx(tag.weight)
    assert sum(one.weight for one in found.interests) == pytest.approx(1)


def test_a_page_reloaded_all_day_is_one_look() -> None:
    once = profile(event("view", "boot", days=0.4), event("view", "cap"))
    often = profile(
        *(event("view", "boot", days=0.4 - n / 1000, message_id=f"r{n}") for n in range(300)), event("view", "cap")
    )
    assert weights(often) == weights(once)
    assert often.habits.events == 301


def test_categories_are_shared_evenly_among_an_items_own() -> None:
    found = profile(event("view", "sock"), event("cart", "cap"))
    assert {one.name: one.share for one in found.categories} == pytest.approx(
        {"head": 0.75, "feet": 0.125, "sale": 0.125}
    )
    assert found.categories[0].name == "head"


def test_what_was_sent_back_counts_against_its_interest_and_its_money() -> None:
    paid = event("purchase", "boot", days=3, order_id="o-1", value=120.0, quantity=2, currency="EUR")
    back = event("refund", "boot", days=1, order_id="o-1", value=120.0, quantity=2, currency="EUR")
    kept = event("purchase", "cap", days=2, value=30.0, currency="EUR")
    found = profile(paid, back, kept)
    [money] = found.value
    assert (money.currency, money.spent, money.refunded, money.net) == ("EUR", 270.0, -240.0, 30.0)
    assert "brand=Fell" not in weights(found)
    assert [one.item for one in found.bought] == ["cap"]
    assert found.habits.orders == 2


def test_one_of_two_pieces_sent_back_leaves_one_bought() -> None:
    paid = event("purchase", "boot", days=3, order_id="o-1", value=120.0, quantity=2)
    found = profile(paid, event("refund", "boot", days=1, order_id="o-1", value=120.0))
    [kept] = found.bought
    assert (kept.item, kept.title, kept.quantity, kept.ts) == ("boot", "Boot", 1, NOW - 3 * DAY_MS)
    assert found.value[0].currency == "XXX"
    assert found.value[0].net == 120.0


def test_an_order_told_twice_and_its_outcome_are_bought_once() -> None:
    line = {"order_id": "o-7", "value": 12.5, "quantity": 2, "currency": "EUR"}
    found = profile(
        event("purchase", "sock", days=1, message_id="browser", **line),
        event("purchase", "sock", days=0.9, message_id="server", user="anon", **line),
        outcome("purchase", "sock", days=1, source="order:o-7", value=25.0, currency="EUR", quantity=2),
        keys=("ann", "anon"),
    )
    assert (found.habits.orders, found.habits.events) == (1, 2)
    assert found.value[0].spent == 25.0
    assert found.bought[0].quantity == 2


@pytest.mark.parametrize("later", ["ann", "anon"])
def test_of_two_reports_of_one_thing_the_earlier_stands(later) -> None:
    earlier = "anon" if later == "ann" else "ann"
    found = profile(
        event("purchase", "sock", days=9, message_id="same", value=7.0, user=earlier),
        event("purchase", "sock", days=2, message_id="same", value=8.0, user=later),
        keys=("ann", "anon"),
    )
    assert (found.value[0].spent, found.bought[0].ts) == (7.0, NOW - 9 * DAY_MS)
    assert found.habits.last_seen == NOW - 9 * DAY_MS


def test_an_outcome_whose_event_is_no_longer_read_still_counts() -> None:
    found = profile(outcome("purchase", "coat", days=100, value=300.0, currency="EUR"), event("view", "cap"))
    assert found.value[0].net == 300.0
    assert (found.habits.orders, found.habits.events) == (1, 1)
    assert found.habits.last_purchase == NOW - 100 * DAY_MS
    assert found.habits.first_seen == NOW - 100 * DAY_MS


def test_recency_and_frequency_count_events_of_every_kind_by_the_day() -> None:
    found = profile(
        event("search", days=5),
        event("custom", days=5.1),
        event("view", "cap", days=2.2),
        event("view", "cap", days=40),
    )
    assert (found.habits.events, found.habits.days, found.habits.orders) == (4, 3, 0)
    record = found.to_record()
    assert record["recency"]["days_since_seen"] == 2.2
    assert record["recency"]["last_purchase"] is None


def test_both_identities_of_a_person_are_one() -> None:
    found = profile(event("view", "boot"), event("view", "cap", user="anon"), keys=("ann", "anon"))
    assert set(weights(found)) == {"brand=Fell", "brand=Tor", "category=feet"}


def test_events_before_the_retention_say_nothing() -> None:
    assert profile(event("view", "boot", days=8), retention_days=7) == profile()


def test_a_stranger_has_an_empty_profile() -> None:
    record = profile().to_record()
    assert record["frequency"] == {"events": 0, "days": 0, "orders": 0}
    assert [record[name] for name in ("interests", "categories", "prices", "languages", "bought", "value")] == [[]] * 6
    assert record["language"] is None
    assert record["whole"] is True


def test_the_language_is_the_one_mostly_read_in_lately() -> None:
    found = profile(
        *(event("view", "cap", days=120 + n, locale="de_DE.UTF-8") for n in range(3)),
        event("view", "cap", days=1, locale="fr-CH"),
        event("custom", days=2, locale="FR"),
        event("view", "boot", days=3, locale="12!"),
        event("view", "boot", days=3.1, locale="german"),
    )
    assert [one.name for one in found.languages] == ["fr", "de"]
    assert sum(one.share for one in found.languages) == pytest.approx(1)
    assert found.to_record()["language"] == "fr"


def test_the_price_band_is_what_was_paid_or_else_what_the_item_costs() -> None:
    found = profile(
        event("purchase", "boot", value=90.0, quantity=2, currency="EUR"),
        event("view", "cap"),
        event("view", "scarf", value=44.0),
        event("refund", "coat", value=300.0),
    )
    euro, pound = found.prices
    assert (euro.currency, euro.low, euro.middle, euro.high, euro.deeds) == ("EUR", 90.0, 90.0, 90.0, 2)
    assert euro.rank == 0.5  # the sock and the cap, of four items in euros, cost less
    assert (pound.currency, pound.middle, pound.rank) == ("GBP", 44.0, 0.0)


def test_a_weighted_quantile_is_that_of_each_price_repeated() -> None:
    chance = random.Random(5)
    for _ in range(200):
        pairs = [(float(chance.randint(1, 9)), chance.randint(1, 7)) for _ in range(chance.randint(1, 8))]
        share = chance.choice([0.25, 0.5, 0.75, 0.0, 1.0])
        repeated = sorted(price for price, times in pairs for _ in range(times))
        assert weighted_quantile(pairs, share) == repeated[max(math.ceil(share * len(repeated)) - 1, 0)]


@pytest.mark.parametrize(
    ("pairs", "share"),
    [([], 0.5), ([(1.0, 0.0)], 0.5), ([(1.0, math.nan)], 0.5), ([(1.0, 1.0)], 1.1), ([(1.0, 1.0)], math.nan)],
)
def test_a_quantile_of_nothing_is_refused(pairs, share) -> None:
    with pytest.raises(ValueError, match=r"weights|share"):
        weighted_quantile(pairs, share)


def test_a_deed_of_tomorrow_says_as_much_as_one_of_now() -> None:
    [(_, strength)] = strengths(deeds([event("cart", "cap", days=-2)], []), NOW)
    assert strength == 3.0


def test_the_work_is_bounded_however_long_the_history() -> None:
    many = [event("view", f"i{n}", days=n / 1000, message_id=f"m{n}") for n in range(100_000)]
    behaviour, shelf = MemoryBehaviour(many), MemoryItems(*SHELF)
    found = Profiles(behaviour, shelf, 180 * DAY_MS).profile(SHOP, ("ann",), NOW)
    assert found.whole is False
    assert found.habits.events == MOST_EVENTS
    assert [len(asked) for asked in shelf.asked] == [MOST_ITEMS]
    assert shelf.asked[0][0] == "i0"  # the newest, which says most
