"""What is written to the table is read back the same, whatever the fields hold."""

from dataclasses import replace
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from beckon.artefact.model import ItemTable
from beckon.catalog.model import Item
from beckon.conversions.model import Credit, Exposure, Outcome, Slot
from beckon.events.model import Event, Rejection

text = st.text(st.characters(codec="utf-8"), max_size=20)
maybe = st.none() | text
ts = st.integers(0, 2**42)
number = st.floats(allow_nan=False, allow_infinity=False)
properties = st.dictionaries(text, text | st.integers(-(2**53), 2**53) | st.booleans(), min_size=1, max_size=3)

events = st.builds(
    Event,
    shop=text,
    message_id=text,
    type=text,
    user_key=text,
    ts=ts,
    original_ts=st.none() | ts,
    received_ts=ts,
    item=maybe,
    anonymous_key=maybe,
    value=st.none() | number,
    quantity=st.none() | st.integers(1, 99),
    properties=properties | st.just({}),
)
slots = st.builds(Slot, item=text, position=st.integers(1, 100), score=number, final_score=number)
exposures = st.builds(
    Exposure,
    shop=text,
    rec_id=text,
    user_key=text,
    surface=text,
    policy=text,
    model_id=maybe,
    ts=ts,
    slots=st.lists(slots, max_size=3).map(tuple),
    variant=maybe,
)
shares = st.builds(
    Credit, rec_id=text, share=number, attribution=text, surface=text, policy=text, model_id=maybe, variant=maybe
)
outcomes = st.builds(
    Outcome,
    shop=text,
    user_key=text,
    source=text,
    item=text,
    kind=text,
    ts=ts,
    value=st.none() | number,
    currency=maybe,
    quantity=st.integers(1, 9),
    credits=st.lists(shares, max_size=2).map(tuple),
)
items = st.builds(
    Item,
    shop=text,
    id=text,
    title=text,
    updated=ts,
    categories=st.lists(text, max_size=2).map(tuple),
    attributes=properties | st.just({}),
    price=st.none() | number,
    available=st.booleans(),
)
rejections = st.builds(
    Rejection,
    shop=text,
    reason=text,
    detail=text,
    field=maybe,
    payload=text,
    digest=text,
    received_ts=ts,
    index=st.integers(0, 2500),
    message_id=maybe,
)


def stored(value: Any) -> Any:
    return type(value).from_record(orjson.loads(orjson.dumps(value.to_record())))


@given(st.one_of(events, exposures, outcomes, items, rejections))
def test_a_record_is_read_back_as_it_was_written(value: Any) -> None:
    assert stored(value) == value


@given(events, text)
def test_a_field_that_a_newer_version_added_is_ignored(event: Event, added: str) -> None:
    assert Event.from_record(event.to_record() | {"x_added": added}) == event


def test_an_item_table_keeps_its_index_order() -> None:
    table = ItemTable(("b", "a"), ("b", "b"), {"category=x": 1.5}, [[0.5, 0.25]], (1,), 7)
    assert stored(table) == table


def test_an_items_tokens_are_its_categories_its_attributes_and_its_price_each_once() -> None:
    item = Item(
        "s", "i", "T", 0, categories=("b", "a", "a"), attributes={"colour": ["red", "blue"], "w": 2, "new": True}
    )
    assert item.tokens() == ("category=a", "category=b", "colour=blue", "colour=red", "new=True", "w=2")
    assert item.tags() == item.tokens()
    priced = replace(item, price=40.0, currency="EUR")  # 2 · log₂ 40 = 10.64
    assert set(priced.tokens()) - set(item.tokens()) == {"price=EUR:10", "price=EUR:11+"}
    assert priced.tags() == item.tags()
    assert replace(item, price=0.0).tokens() == item.tokens()  # a gift stands on no step


@given(st.floats(0.01, 1e9), st.floats(0.5, 2.0), st.sampled_from(["EUR", "GBP"]))
def test_items_share_a_step_of_price_if_they_cost_about_the_same(price: float, factor: float, currency: str) -> None:
    def steps(price: float, currency: str) -> set[str]:
        return set(Item("s", "i", "T", 0, price=price, currency=currency).tokens())

    shared = steps(price, "EUR") & steps(price * factor, currency)
    apart = max(factor, 1 / factor)
    if currency != "EUR" or apart > 1.4143:
        assert not shared
    elif apart < 1.1892:
        assert shared
