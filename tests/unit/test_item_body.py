"""What a shop may send as an item, and what it hears otherwise."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.aws.http import parse
from beckon.catalog import cursor
from beckon.catalog.model import Item
from beckon.catalog.wire import MAX_ITEM_BYTES, ItemBody, PageQuery
from beckon.values import Refused

NOW = 1_790_000_000_000


def checked(path_id=None, **fields):
    return parse(ItemBody, {"title": "Boot"} | fields).item("shoes", path_id, NOW)


def refused(**fields):
    with pytest.raises(Refused) as caught:
        checked("boot", **fields)
    return caught.value


def test_everything_an_item_may_have_arrives() -> None:
    sent = {
        "id": "boot",
        "parent_id": "boots",
        "title": "Stiefel",
        "description": "Für alle",
        "categories": ["boots", "winter"],
        "attributes": {"colour": ["red", "blue"], "size": 42, "weight": 1.5, "new": True, "fit": "wide"},
        "price": 20,
        "currency": "EUR",
        "available": False,
        "image": "https://cdn.example/a.jpg?w=1",
    }
    assert checked(**sent) == Item(
        "shoes",
        "boot",
        "Stiefel",
        NOW,
        "boots",
        "Für alle",
        ("boots", "winter"),
        sent["attributes"],
        20.0,
        "EUR",
        available=False,
        image="https://cdn.example/a.jpg?w=1",
    )


def test_a_title_is_enough_and_an_item_is_for_sale_unless_said_otherwise() -> None:
    assert checked("boot") == Item("shoes", "boot", "Boot", NOW)
    assert checked("boot", price=None, description=None, image=None, parent_id=None) == checked("boot")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": " \n"}, "title"),
        ({"title": 7}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"titel": "Boot"}, "titel"),
        ({"shop": "hats"}, "shop"),
        ({"updated": 1}, "updated"),
        ({"id": "x" * 257}, "id"),
        ({"id": " "}, "id"),
        ({"id": 7}, "id"),
        ({"id": "sock"}, "id"),
        ({"parent_id": ""}, "parent_id"),
        ({"price": -0.01}, "price"),
        ({"price": float("nan")}, "price"),
        ({"price": float("inf")}, "price"),
        ({"price": 1e13}, "price"),
        ({"price": "19.99"}, "price"),
        ({"price": True}, "price"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": "EUR\n"}, "currency"),
        ({"available": "yes"}, "available"),
        ({"available": None}, "available"),
        ({"image": "javascript:alert(1)"}, "image"),
        ({"image": "ftp://a/b"}, "image"),
        ({"image": "https://"}, "image"),
        ({"image": "https://a b"}, "image"),
        ({"image": "//cdn/a.jpg"}, "image"),
        ({"image": "https://a/" + "x" * 2_048}, "image"),
        ({"description": "x" * 10_001}, "description"),
        ({"categories": ["x"] * 51}, "categories"),
        ({"categories": "boots"}, "categories"),
        ({"categories": [""]}, "categories.0"),
        ({"categories": ["a", 7]}, "categories.1"),
        ({"attributes": {str(n): n for n in range(101)}}, "attributes"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"size": None}}, "attributes.size"),
        ({"attributes": {"size": {"eu": 42}}}, "attributes.size"),
        ({"attributes": {"size": [42]}}, "attributes.size"),
        ({"attributes": {"size": float("nan")}}, "attributes.size"),
        ({"attributes": {"size": float("-inf")}}, "attributes.size"),
        ({"attributes": {"text": "x" * 1_001}}, "attributes.text"),
        ({"attributes": {"list": ["a"] * 51}}, "attributes.list"),
        ({"attributes": {"list": ["x" * 1_001]}}, "attributes.list"),
    ],
)
def test_what_does_not_fit_is_named(fields, field) -> None:
    fault = refused(**fields)
    assert (fault.code, fault.field) == ("invalid-request", field)
    assert field in fault.detail


def test_an_item_needs_an_id_somewhere() -> None:
    with pytest.raises(Refused, match="id"):
        checked()


def test_an_item_that_would_not_fit_into_the_table_is_refused_whole() -> None:
    many = {f"a{n}": "x" * 1_000 for n in range(40)}
    assert "bytes" in refused(attributes=many).detail


def test_the_largest_items_of_one_transaction_fit_into_its_four_megabytes() -> None:
    attributes = {f"a{n}": "é" * 480 for n in range(31)}
    largest = checked("x" * 256, attributes=attributes, description="y" * 1_500)
    size = len(orjson.dumps(largest.to_record()))
    assert MAX_ITEM_BYTES * 0.9 < size <= MAX_ITEM_BYTES
    assert 33 * 3 * (MAX_ITEM_BYTES + 2_048) < 4 * 1024 * 1024


@pytest.mark.parametrize("sent", [None, [], "boot", 7])
def test_an_item_that_is_no_object_is_refused(sent) -> None:
    with pytest.raises(Refused):
        parse(ItemBody, sent)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"limit": "ten"}, {"limt": "5"}])
def test_a_page_query_is_checked_too(query) -> None:
    with pytest.raises(Refused):
        parse(PageQuery, query)


places = st.tuples(st.integers(0, 7), st.text(st.characters(codec="ascii"), max_size=200))


@given(shop=st.sampled_from(("shoes", "hats")), place=places)
def test_a_cursor_leads_back_to_its_place(shop, place) -> None:
    assert cursor.decode(shop, cursor.encode(shop, place)) == place


@given(place=places, position=st.integers(0, 400), replacement=st.sampled_from("Aa0_-=é "))
def test_a_changed_cursor_is_refused(place, position, replacement) -> None:
    good = cursor.encode("shoes", place)
    at = position % len(good)
    bad = good[:at] + replacement + good[at + 1 :]
    if bad != good:
        with pytest.raises(Refused, match="cursor"):
            cursor.decode("shoes", bad)


def test_bits_that_base64_leaves_over_are_no_hiding_place() -> None:
    # 6 bytes of check and 7 of content: the last character has four bits to spare.
    good = cursor.encode("shoes", (0, "x"))
    assert cursor.decode("shoes", good) == (0, "x")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = letters[letters.index(good[-1]) + 1]
    with pytest.raises(Refused, match="cursor"):
        cursor.decode("shoes", good[:-1] + other)


@given(st.text(max_size=60))
def test_no_text_breaks_a_cursor(text) -> None:
    with pytest.raises(Refused, match="cursor"):
        cursor.decode("shoes", text)


@pytest.mark.parametrize(
    "content", [[], [1], [1, 2], ["1", "x"], [1, "é"], [1, "x" * 300], {"a": 1}, None, [1, "\ud800"]]
)
def test_a_cursor_made_up_with_a_right_check_still_needs_a_place(content) -> None:
    forged = json.dumps(content).encode()
    text = cursor.base64.urlsafe_b64encode(cursor._check("shoes", forged) + forged).decode().rstrip("=")
    with pytest.raises(Refused, match="cursor"):
        cursor.decode("shoes", text)
