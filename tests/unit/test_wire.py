"""What each message comes to: events, or a refusal that says what to do."""

from typing import Any

import orjson
import pytest

from beckon.events.body import messages_of, read_body
from beckon.events.bots import DeclaredBots
from beckon.events.delivery import Delivery
from beckon.events.model import Event, Rejection
from beckon.events.parsing import Accepted, parse
from beckon.values import DAY_MS, HOUR_MS, Refused

RECEIVED = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z


def delivery(**changes: Any) -> Delivery:
    return Delivery(
        **{"shop": "acme", "secret": b"k" * 32, "received_ts": RECEIVED, "retention_ms": 180 * DAY_MS, **changes}
    )


def view(**changes: Any) -> dict[str, Any]:
    message = {
        "type": "track",
        "event": "view",
        "messageId": "m1",
        "userId": "ann",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "properties": {"item": "tent"},
    } | changes
    return {name: value for name, value in message.items() if value is not ...}


def of(message: Any, index: int = 0, **shared: Any) -> Accepted | Rejection:
    return parse(message, index, delivery(**shared), DeclaredBots())


def event(message: Any, **shared: Any) -> Event:
    accepted = of(message, **shared)
    assert isinstance(accepted, Accepted), accepted
    [one] = accepted.events
    return one


def refusal(message: Any, index: int = 0, **shared: Any) -> Rejection:
    rejection = of(message, index, **shared)
    assert isinstance(rejection, Rejection), rejection
    return rejection


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        (7, "not-an-object", None),
        ("text", "not-an-object", None),
        (None, "not-an-object", None),
        ([], "not-an-object", None),
        ({}, "unknown-type", "type"),
        (view(type="telepathy"), "unknown-type", "type"),
        (view(type=["track"]), "unknown-type", "type"),
        (view(event=...), "missing-name", "event"),
        (view(event="  "), "missing-name", "event"),
        (view(event={"a": 1}), "wrong-type", "event"),
        (view(event="e" * 257), "id-too-long", "event"),
        (view(userId=...), "missing-identity", "userId"),
        (view(userId=""), "missing-identity", "userId"),
        (view(userId=None, anonymousId=" "), "missing-identity", "userId"),
        (view(userId={"id": "ann"}), "wrong-type", "userId"),
        (view(userId=1.5), "wrong-type", "userId"),
        (view(userId=True), "wrong-type", "userId"),
        (view(userId="u" * 257), "id-too-long", "userId"),
        (view(anonymousId="u" * 10_000), "id-too-long", "anonymousId"),
        (view(messageId="m" * 257), "id-too-long", "messageId"),
        (view(messageId="m" * 10_000), "id-too-long", "messageId"),
        (view(messageId=["m"]), "wrong-type", "messageId"),
        (view(properties="tent"), "wrong-type", "properties"),
        (view(properties=["tent"]), "wrong-type", "properties"),
        (view(properties=None), "missing-item", "properties.item"),
        (view(properties={"item": ""}), "missing-item", "properties.item"),
        (view(event="click", properties={}), "missing-item", "properties.item"),
        (view(event="Product Added", properties={}), "missing-item", "properties.item"),
        (view(event="Order Completed", properties={"products": []}), "missing-item", "properties.item"),
        (view(event="rating", properties={"value": 5}), "missing-item", "properties.item"),
        (view(properties={"item": "i" * 10_000}), "id-too-long", "properties.item"),
        (view(properties={"item": ["tent"]}), "wrong-type", "properties.item"),
        (view(properties={"item": "tent", "price": -0.01}), "negative", "properties.price"),
        (view(properties={"item": "tent", "price": "NaN"}), "not-a-number", "properties.price"),
        (view(properties={"item": "tent", "price": "-Infinity"}), "not-a-number", "properties.price"),
        (view(properties={"item": "tent", "price": "cheap"}), "wrong-type", "properties.price"),
        (view(properties={"item": "tent", "price": True}), "wrong-type", "properties.price"),
        (view(properties={"item": "tent", "price": {"amount": 5}}), "wrong-type", "properties.price"),
        (view(properties={"item": "tent", "value": -5}), "negative", "properties.value"),
        (view(properties={"item": "tent", "value": 1e300}), "too-large", "properties.value"),
        (view(properties={"item": "tent", "quantity": 0}), "negative", "properties.quantity"),
        (view(properties={"item": "tent", "quantity": 1.5}), "wrong-type", "properties.quantity"),
        (view(properties={"item": "tent", "quantity": 10**9}), "too-large", "properties.quantity"),
        (view(properties={"item": "tent", "currency": "euros"}), "bad-currency", "properties.currency"),
        (view(properties={"item": "tent", "order_id": ["o"]}), "wrong-type", "properties.order_id"),
        (
            view(event="purchase", properties={"products": [{"product_id": "a"}, {"price": 3}]}),
            "missing-item",
            "properties.products.1.item",
        ),
        (
            view(event="purchase", properties={"products": [{"product_id": "a"}, {"product_id": "b", "price": -3}]}),
            "negative",
            "properties.products.1.price",
        ),
        (view(event="purchase", properties={"products": ["a"]}), "wrong-type", "properties.products.0"),
        (view(event="purchase", properties={"products": "a"}), "wrong-type", "properties.products"),
        (view(timestamp="yesterday"), "bad-timestamp", "timestamp"),
        (view(timestamp="2026-02-30T00:00:00Z"), "bad-timestamp", "timestamp"),
        (view(timestamp=[2026]), "bad-timestamp", "timestamp"),
        (view(timestamp=True), "bad-timestamp", "timestamp"),
        (view(timestamp="9999-12-31T23:59:59Z"), "bad-timestamp", "timestamp"),
        (view(timestamp=1e30), "bad-timestamp", "timestamp"),
        (view(timestamp="1969-12-31T23:59:59.999Z"), "timestamp-before-1970", "timestamp"),
        (view(timestamp=-1), "timestamp-before-1970", "timestamp"),
        (view(timestamp="2099-01-01T00:00:00Z"), "timestamp-ahead", "timestamp"),
        (view(timestamp=RECEIVED + DAY_MS + 1), "timestamp-ahead", "timestamp"),
        (view(properties={"item": "tent", "note": "x" * 33_000}), "event-too-large", None),
        (view(properties={"item": "tent", "deep": nested(400)}), "unreadable", None),
        (view(context={"userAgent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}), "bot", "context.userAgent"),
    ],
)
def test_a_message_that_is_no_event_is_refused_with_a_reason(message: Any, code: str, field: str | None) -> None:
    rejection = refusal(message)
    assert (rejection.reason, rejection.field) == (code, field)
    assert len(rejection.detail) > 20  # says what to do
    assert len(rejection.detail) < 400


@pytest.mark.parametrize(
    "message",
    [
        view(messageId="m" * 256),
        view(userId="u" * 256),
        view(properties={"item": "i" * 256}),
        view(timestamp=RECEIVED + DAY_MS),
        view(timestamp=0),
        view(timestamp="1970-01-01T00:00:00Z"),
        view(event="search", properties={"query": "tent"}),
        view(event="refund", properties={"order_id": "o1"}),
        view(context="not an object", integrations=7, traits=[], surprise={"a": 1}),
        view(context={"page": 3, "device": "x", "locale": {}, "userAgent": 7}),
    ],
)
def test_a_message_at_the_limit_or_with_unknown_fields_is_an_event(message: Any) -> None:
    assert isinstance(of(message), Accepted)


@pytest.mark.parametrize(
    ("name", "type_", "kept"),
    [
        ("view", "view", None),
        ("cart", "cart", None),
        ("rating", "rating", None),
        ("impression", "impression", None),
        ("Product Viewed", "view", "Product Viewed"),
        ("Product Clicked", "click", "Product Clicked"),
        ("Product Added", "cart", "Product Added"),
        ("Product Removed", "remove", "Product Removed"),
        ("Order Completed", "purchase", "Order Completed"),
        ("Order Refunded", "refund", "Order Refunded"),
        ("Products Searched", "search", "Products Searched"),
        ("Product List Viewed", "impression", "Product List Viewed"),
        ("Quiz Finished", "custom", "Quiz Finished"),
        ("View", "custom", "View"),
        ("need", "custom", "need"),
        ("custom", "custom", "custom"),
    ],
)
def test_event_names_are_beckons_or_segments_and_others_are_custom(name: str, type_: str, kept: str | None) -> None:
    found = event(view(event=name))
    assert (found.type, found.name, found.item) == (type_, kept, "tent")


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"type": "page", "name": "Home"}, "page: Home"),
        ({"type": "page", "properties": {"name": "Sale"}}, "page: Sale"),
        ({"type": "page"}, "page"),
        ({"type": "screen", "name": "Basket"}, "screen: Basket"),
        ({"type": "identify", "traits": {"email": "ann@example.com"}}, "identify"),
        ({"type": "group", "groupId": "g"}, "group"),
        ({"type": "alias", "previousId": "before"}, "alias"),
    ],
)
def test_messages_other_than_track_are_custom_events(message: dict[str, Any], name: str) -> None:
    found = event(message | {"userId": "ann", "messageId": "m"})
    assert (found.type, found.name) == ("custom", name)
    assert b"example.com" not in orjson.dumps(found.to_record())


def test_every_column_is_taken_from_its_place() -> None:
    found = event(
        view(
            event="purchase",
            anonymousId="cookie",
            properties={
                "product_id": 42,
                "price": "19.90",
                "value": 59.7,
                "quantity": 3.0,
                "currency": "eur",
                "order_id": "o1",
                "rec_id": "r1",
                "colour": "red",
            },
            context={
                "page": {"path": "/p/tent", "referrer": "https://mail.example/?q=ann@example.com"},
                "locale": "de-DE",
                "device": {"type": "mobile"},
                "rec_id": "r2",
            },
        )
    )
    assert found.to_record() == {
        "shop": "acme",
        "message_id": "m1",
        "type": "purchase",
        "user_key": found.user_key,
        "anonymous_key": found.anonymous_key,
        "ts": RECEIVED,
        "original_ts": RECEIVED,
        "received_ts": RECEIVED,
        "item": "42",
        "value": 19.9,
        "quantity": 3,
        "currency": "EUR",
        "order_id": "o1",
        "rec_id": "r1",
        "page": "/p/tent",
        "referrer": "https://mail.example/",
        "locale": "de-DE",
        "device": "mobile",
        "properties": {"colour": "red"},
    }
    assert found.user_key != found.anonymous_key
    assert event(view(context={"rec_id": "r2"})).rec_id == "r2"


def test_an_order_is_an_event_a_product() -> None:
    order = view(
        event="Order Completed",
        properties={
            "order_id": "o9",
            "currency": "EUR",
            "rec_id": "r1",
            "total": 50,
            "products": [
                {"product_id": "a", "price": 10, "quantity": 2, "brand": "X"},
                {"product_id": "b", "price": 30, "currency": "USD"},
                {"item": "c"},
            ],
        },
    )
    accepted = of(order)
    assert isinstance(accepted, Accepted)
    assert [(e.message_id, e.item, e.value, e.quantity, e.currency) for e in accepted.events] == [
        ("m1", "a", 10.0, 2, "EUR"),
        ("m1#1", "b", 30.0, None, "USD"),
        ("m1#2", "c", None, None, "EUR"),
    ]
    assert {(e.type, e.order_id, e.rec_id) for e in accepted.events} == {("purchase", "o9", "r1")}
    assert [dict(e.properties) for e in accepted.events] == [{"total": 50, "brand": "X"}, {}, {}]


def test_two_sizes_of_one_product_in_an_order_are_one_event_worth_both() -> None:
    sizes = [
        {"product_id": "shirt", "variant": "M", "price": 10, "quantity": 3},
        {"product_id": "sock", "price": 2},
        {"product_id": "shirt", "variant": "L", "price": 14},
    ]
    accepted = of(view(event="Order Completed", properties={"order_id": "o1", "products": sizes}))
    assert isinstance(accepted, Accepted)
    assert [(e.message_id, e.item, e.value, e.quantity) for e in accepted.events] == [
        ("m1", "shirt", 11.0, 4),
        ("m1#1", "sock", 2.0, None),
    ]


def test_a_custom_event_keeps_its_own_meaning_of_our_words() -> None:
    found = event(view(event="Coupon Applied", properties={"value": -5, "item": "tent", "products": "all"}))
    assert (found.item, found.value) == (None, None)
    assert found.properties == {"value": -5, "item": "tent", "products": "all"}


# ── time ──


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-01-02T03:04:05.678Z", 1_767_323_045_678),
        ("2026-01-02T05:04:05.678+02:00", 1_767_323_045_678),
        ("2026-01-01T21:34:05.678-05:30", 1_767_323_045_678),
        ("2026-01-02T03:04:05", 1_767_323_045_000),
        ("2004-03-15T07:55:47.472Z", 1_079_337_347_472),  # 1 ms early by way of a float
        (1_767_323_045_678, 1_767_323_045_678),
        (1_767_323_045, 1_767_323_045_000),
        (1_767_323_045.678, 1_767_323_045_678),
    ],
)
def test_times_are_iso_in_any_zone_or_an_epoch(timestamp: Any, expected: int) -> None:
    assert event(view(timestamp=timestamp)).original_ts == expected


@pytest.mark.parametrize(
    ("sender_is_ahead_by", "took"),
    [(3 * HOUR_MS, 0), (-3 * HOUR_MS, 0), (3 * HOUR_MS, 700), (-3 * HOUR_MS, 700), (75 * 365 * DAY_MS, 5)],
)
def test_a_wrong_sender_clock_is_corrected_whichever_way_it_is_wrong(sender_is_ahead_by: int, took: int) -> None:
    happened = RECEIVED - 60_000
    sent = RECEIVED - took
    message = view(timestamp=happened + sender_is_ahead_by)
    for found in (
        event(message, sent_ts=sent + sender_is_ahead_by),
        event(message | {"sentAt": sent + sender_is_ahead_by}, sent_ts=12345),  # the message's own comes first
    ):
        assert found.ts == happened + took  # the time on the way is not known to be that
        assert found.original_ts == happened + sender_is_ahead_by  # the key stays the sender's


def test_a_sent_at_that_is_no_time_corrects_nothing() -> None:
    found = event(view(timestamp=RECEIVED - 5_000, sentAt="soon"), sent_ts=None)
    assert found.ts == RECEIVED - 5_000


def test_what_is_ahead_after_correction_is_refused_and_what_was_ahead_before_it_is_not() -> None:
    day_and_more = RECEIVED + 3 * DAY_MS
    assert isinstance(of(view(timestamp=day_and_more), sent_ts=day_and_more), Accepted)
    assert refusal(view(timestamp=RECEIVED), sent_ts=RECEIVED - 3 * DAY_MS).reason == "timestamp-ahead"


def test_a_message_without_time_happened_when_it_was_received() -> None:
    found = event(view(timestamp=...), sent_ts=RECEIVED - HOUR_MS)
    assert (found.ts, found.original_ts) == (RECEIVED, None)


def test_what_is_older_than_the_retention_is_noted_as_for_the_lake_only() -> None:
    young, old = of(view(timestamp=RECEIVED - 180 * DAY_MS)), of(view(timestamp=RECEIVED - 180 * DAY_MS - 1))
    assert isinstance(young, Accepted)
    assert isinstance(old, Accepted)
    assert young.notes == ()
    assert old.notes == ("older than the retention of 180 days: kept in the lake only",)


# ── identity and privacy ──


def test_an_id_of_our_own_depends_on_content_alone() -> None:
    bare = view(messageId=...)
    same = [bare, bare | {"sentAt": "2026-01-02T03:05:00Z"}, dict(reversed(bare.items())), bare | {"writeKey": "wk_1"}]
    ids = {event(message).message_id for message in same}
    assert len(ids) == 1
    assert event(bare | {"userId": "bob"}).message_id not in ids
    assert event(bare | {"properties": {"item": "mat"}}).message_id not in ids


def test_no_raw_id_and_no_trait_is_kept() -> None:
    message = view(
        userId="ann@example.com",
        anonymousId="cookie-7",
        traits={"name": "Ann Example"},
        context={"traits": {"name": "Ann Example"}, "ip": "10.1.2.3", "page": {"url": "/p?mail=ann@example.com#x"}},
        properties={"item": "tent", "email": "ann@example.com", "login": "ann@example.com", "seen": "cookie-7"},
    )
    good = orjson.dumps(event(message).to_record())
    bad = orjson.dumps(refusal(message | {"properties": message["properties"] | {"price": -1}}).to_record())
    for stored in (good, bad):
        for secret in (b"example.com", b"cookie-7", b"Ann Example", b"10.1.2.3"):
            assert secret not in stored
    assert event(message).user_key.encode() in bad  # so that an operator can still see whose they are


def test_properties_are_bounded_and_the_sender_is_told() -> None:
    accepted = of(view(properties={"item": "tent", "small": 1, "big": "x" * 5_000, "last": True}))
    assert isinstance(accepted, Accepted)
    assert accepted.events[0].properties == {"small": 1, "last": True}
    assert accepted.notes == ("properties beyond 4 KiB were left out",)


def test_a_rejections_name_is_the_same_whenever_it_is_sent_and_its_payload_is_bounded() -> None:
    bad = view(properties={"item": "tent", "price": -1, "note": "x" * 20_000})
    first, later = refusal(bad, 3), refusal(bad | {"sentAt": "2026-01-02T03:05:00Z"}, 4, received_ts=RECEIVED + 9_000)
    assert first.digest == later.digest
    assert len(first.payload) <= 8 * 1024
    assert refusal(view(properties={"item": "mat", "price": -1})).digest != first.digest


def test_who_opted_out_is_refused_and_nothing_of_it_kept() -> None:
    rejection = refusal(view(), opted_out=True)
    assert (rejection.reason, rejection.payload) == ("opted-out", "")


@pytest.mark.parametrize(
    ("user_agent", "is_bot"),
    [
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", True),
        ("Mozilla/5.0 (compatible; YandexBot/3.0)", True),
        ("facebookexternalhit/1.1", True),
        ("Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36", False),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15", False),
        ("python-requests/2.32", False),
        ("analytics-node/2.1.0", False),
        ("", False),
    ],
)
def test_bots_that_say_so_are_told_from_people_and_servers(user_agent, is_bot) -> None:
    assert DeclaredBots().is_bot(user_agent) is is_bot
    assert isinstance(of(view(), user_agent=user_agent), Rejection) is is_bot


def test_the_messages_user_agent_is_the_persons_and_not_the_servers() -> None:
    assert isinstance(of(view(context={"userAgent": "Mozilla/5.0"}), user_agent="relaybot/1.0"), Accepted)


def test_messages_beyond_the_limit_of_a_batch_are_refused() -> None:
    assert isinstance(of(view(), 2_499), Accepted)
    assert refusal(view(), 2_500).reason == "too-many-events"


# ── bodies ──


def test_a_number_that_is_none_costs_only_its_own_message() -> None:
    content = (
        b'{"batch": [{"type": "page", "userId": "a", "properties": {"x": [1, NaN]}}, {"type": "page", "userId": "b"}]}'
    )
    body, strict = read_body(content)
    bad, good = (of(message, strict=strict) for message in messages_of(body, "batch"))
    assert isinstance(good, Accepted)
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.field) == ("not-a-number", "properties.x.1")


@pytest.mark.parametrize("text", [b'"\\ud800"', b"1" + b"0" * 400, b"1e999"])
def test_what_only_some_parsers_read_is_refused_by_the_message(text: bytes) -> None:
    body, strict = read_body(b'{"batch": [{"type": "page", "userId": "a", "properties": {"x": ' + text + b"}}]}")
    [message] = messages_of(body, "batch")
    assert isinstance(of(message, strict=strict), Rejection)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5_000 + b"}"]
)
def test_a_body_that_is_no_json_object_is_the_callers_mistake(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_body(content)
    assert refused.value.code == "malformed-body"


@pytest.mark.parametrize("batch", [..., None, {}, "x", 3, [0] * 20_001])
def test_a_batch_that_is_no_list_of_messages_is_the_callers_mistake(batch: Any) -> None:
    with pytest.raises(Refused) as refused:
        messages_of({} if batch is ... else {"batch": batch}, "batch")
    assert (refused.value.code, refused.value.field) == ("invalid-request", "batch")


def test_a_route_of_its_own_names_the_type_of_its_message() -> None:
    [message] = messages_of({"userId": "a", "type": "page"}, "identify")
    assert event(message).name == "identify"
