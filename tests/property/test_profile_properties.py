"""Whatever people do: order and repetition of reports change no profile, and its parts add up."""

from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.profiles.service import Profiles
from beckon.values import DAY_MS
from tests.profile_shop import NOW, SHOP, MemoryBehaviour, MemoryItems, event, item, outcome

SHELF = [
    item(
        f"i{n}",
        categories=[f"c{n % 3}"] + ["sale"] * (n % 2),
        price=3.7 * n + 0.1,
        currency=("EUR", "GBP", None)[n % 3],
        brand=f"b{n % 4}",
        size=n % 2,
    )
    for n in range(9)
]
kinds = st.sampled_from(["view", "click", "cart", "remove", "purchase", "refund", "search", "custom", "rating"])
names = st.sampled_from([f"i{n}" for n in range(11)])  # two of them are in no catalogue


@st.composite
def happenings(draw):
    """Events of two identities with clashing message and order ids, and outcomes of some of them."""
    count = draw(st.integers(0, 14))
    found = []
    for _ in range(count):
        fields = {
            "days": draw(st.floats(-1, 200, allow_nan=False)),
            "message_id": f"m{draw(st.integers(0, 12))}",
            "user": draw(st.sampled_from(["ann", "anon"])),
            "value": draw(st.none() | st.floats(0, 1e6, allow_nan=False)),
            "currency": draw(st.sampled_from([None, "EUR", "GBP"])),
            "quantity": draw(st.none() | st.integers(1, 5)),
            "order_id": draw(st.sampled_from([None, None, "o1", "o2"])),
            "locale": draw(st.sampled_from([None, "en-GB", "fr", "de_CH", "?"])),
        }
        found.append(event(draw(kinds), draw(names), **fields))
    came = [
        outcome(one.type, one.item, days=draw(st.floats(0, 90)), source=one.message_id, value=one.value)
        for one in found
        if one.type in ("cart", "purchase", "refund") and draw(st.booleans())
    ]
    return found, came


def profile(events, outcomes, keys=("ann", "anon")):
    return Profiles(MemoryBehaviour(events, outcomes), MemoryItems(*SHELF), 180 * DAY_MS).profile(SHOP, keys, NOW)


@settings(max_examples=150, deadline=None)
@given(happenings(), st.randoms(use_true_random=False))
def test_order_and_duplication_change_nothing(happened, chance) -> None:
    events, outcomes = happened
    again = events + chance.sample(events, k=len(events) // 2)
    twice = outcomes + outcomes
    chance.shuffle(again)
    chance.shuffle(twice)
    assert profile(again, twice, ("anon", "ann", "anon")) == profile(events, outcomes)


@settings(max_examples=150, deadline=None)
@given(happenings())
def test_parts_add_up_and_nothing_leaves_its_range(happened) -> None:
    found = profile(*happened)
    for shares in (found.categories, found.languages):
        assert all(0 < one.share <= 1 for one in shares)
        assert not shares or abs(sum(one.share for one in shares) - 1) < 1e-9
    assert sum(one.weight for one in found.interests) <= 1 + 1e-9
    for one in found.interests:
        assert 0 < one.weight <= 1
        assert one.idf > 0
        if one.deeds == len(one.evidence):
            assert abs(sum(part.part for part in one.evidence) - one.weight) < 1e-9
    for band in found.prices:
        assert 0 <= band.low <= band.middle <= band.high
        assert band.rank is None or 0 <= band.rank <= 1
    for money in found.value:
        assert money.refunded <= 0 <= money.spent
        assert abs(money.spent + money.refunded - money.net) < 1e-3
    assert all(one.quantity > 0 for one in found.bought)
    assert found.habits.last_seen is None or found.habits.first_seen <= found.habits.last_seen
