"""However events arrive, the outcomes are those that reading everything at leisure would give."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.conversions.model import Exposure, Slot
from beckon.conversions.service import Attribution
from beckon.events.model import Event
from tests.memory import MemoryExposures, MemoryOutcomes

WINDOW, RETENTION = 6, 10**9
PEOPLE = ("u1", "u1", "a1")
ITEMS = ("i1", "i1", "i2")
RECS = tuple(f"r{n}" for n in range(4))
SHOPS = ("shoes", "shoes", "shoes", "hats")
MOMENTS = st.integers(0, 12)  # few of everything, so that things meet


@st.composite
def lists(draw):
    """Three or four served lists, each id once, of different lengths."""
    made = []
    for rec_id in draw(st.lists(st.sampled_from(RECS), unique=True, min_size=3)):
        items = draw(st.sampled_from((("i1",), ("i2", "i1"), ("i1", "i2"), ("i2",), ())))
        slots = tuple(Slot(item, n, 1.0, 1.0) for n, item in enumerate(items, start=1))
        shop, person = draw(st.sampled_from(SHOPS)), draw(st.sampled_from(PEOPLE))
        surface = draw(st.sampled_from(("home", "cart")))
        made.append(Exposure(shop, rec_id, person, surface, "p", "m", draw(MOMENTS), slots))
    return made


@st.composite
def happenings(draw):
    """Two to eight events, each id once."""
    made = []
    for n in range(draw(st.integers(2, 8))):
        ts = draw(MOMENTS)
        made.append(
            Event(
                shop=draw(st.sampled_from(SHOPS)),
                message_id=f"m{n}",
                type=draw(st.sampled_from(("view", "click", "cart", "purchase", "refund"))),
                user_key=draw(st.sampled_from(PEOPLE)),
                anonymous_key=draw(st.sampled_from((None, "a1"))),
                ts=ts,
                original_ts=ts,
                received_ts=ts + draw(st.integers(0, 4)),
                item=draw(st.sampled_from((None, *ITEMS))),
                rec_id=draw(st.sampled_from((None, *RECS))),
                value=draw(st.sampled_from((None, 2.5))),
                currency="EUR",
                quantity=draw(st.sampled_from((None, 3))),
            )
        )
    return made


def oracle(event, everything):
    """Return (kind, credited rec_id, money) by walking back in time, millisecond by millisecond."""
    if event.type == "view" or event.item is None:
        return None
    mine = [
        one
        for one in everything
        if one.shop == event.shop
        and one.user_key in {event.user_key, event.anonymous_key}
        and event.item in {slot.item for slot in one.slots}
    ]
    winner = None
    for one in mine:
        if one.rec_id == event.rec_id and event.ts - WINDOW <= one.ts <= max(event.ts, event.received_ts):
            winner = one.rec_id
    at = event.ts
    while winner is None and at >= event.ts - WINDOW:
        winner = max((one.rec_id for one in mine if one.ts == at), default=None)
        at -= 1
    pieces = 3 if event.quantity else 1
    money = None if event.value is None else sum(2.5 for _ in range(pieces)) * (-1 if event.type == "refund" else 1)
    return event.type, winner, money


def run(events, everything):
    outcomes = MemoryOutcomes()
    attribution = Attribution(MemoryExposures(everything), outcomes, WINDOW, RETENTION)
    return outcomes, [attribution.handle(event) for event in events]


@settings(max_examples=300, deadline=None)
@given(events=happenings(), everything=lists(), seed=st.integers(0, 2**32))
def test_any_order_and_any_repetition_give_the_oracles_outcomes(events, everything, seed) -> None:
    shuffled = events * 2 + events[: len(events) // 2]
    random.Random(seed).shuffle(shuffled)
    outcomes, fresh = run(shuffled, everything)
    got = {
        (outcome.shop, outcome.source): (
            outcome.kind,
            outcome.credits[0].rec_id if outcome.credits else None,
            outcome.value,
        )
        for outcome in outcomes.kept.values()
    }
    expected = {(event.shop, event.message_id): oracle(event, everything) for event in events}
    assert got == {key: found for key, found in expected.items() if found is not None}
    assert sum(fresh) == len(got)


@settings(deadline=None)
@given(events=happenings(), everything=lists(), seed=st.integers(0, 2**32))
def test_counters_do_not_depend_on_order_or_repetition(events, everything, seed) -> None:
    straight, _ = run(events, everything)
    shuffled = events * 3
    random.Random(seed).shuffle(shuffled)
    again, _ = run(shuffled, everything)
    assert again.counted == straight.counted
    sold = [event for event in events if event.type == "purchase" and event.item is not None]
    assert sum(counter["purchases"] for counter in again.counted.values()) == len(sold)


@settings(deadline=None)
@given(events=happenings(), orders=st.lists(st.sampled_from(("7", "8")), min_size=8, max_size=8))
def test_an_order_counts_once_a_shop_an_item_and_a_kind(events, orders) -> None:
    ordered = [
        Event(**{name: getattr(event, name) for name in Event.__slots__} | {"order_id": order})
        for event, order in zip(events, orders, strict=False)
        if event.type in ("purchase", "refund") and event.item is not None
    ]
    _, fresh = run(ordered * 2, [])
    assert sum(fresh) == len({(event.shop, event.order_id, event.item, event.type) for event in ordered})
