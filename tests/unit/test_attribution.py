"""What an event came of, and which list earned it."""

import pytest

from beckon.conversions.attribution import outcome_of
from beckon.conversions.model import Credit, Exposure, Slot
from beckon.conversions.service import Attribution
from beckon.events.model import TYPES, Event
from beckon.values import DAY_MS, HOUR_MS, stranger_key
from tests.memory import MemoryExposures, MemoryOutcomes

NOW = 1_790_000_000_000
WINDOW = 7 * DAY_MS


def event(type_="click", item="boot", **fields):
    fields = {"ts": NOW, "original_ts": NOW, "received_ts": NOW + 50, "user_key": "u1"} | fields
    return Event("shoes", fields.pop("message_id", "m1"), type_, item=item, **fields)


def served(rec_id, ts, *items, user_key="u1", **fields):
    slots = tuple(Slot(name, n, 1.0 / n, 1.0 / n) for n, name in enumerate(items or ("sock", "boot"), start=1))
    return Exposure("shoes", rec_id, user_key, fields.pop("surface", "home"), "beckon", "m7", ts, slots, **fields)


def credit_of(event, *lists):
    outcome = outcome_of(event, lists, WINDOW)
    assert outcome is not None
    return [(credit.rec_id, credit.attribution) for credit in outcome.credits]


@pytest.mark.parametrize("type_", [name for name in TYPES if name not in ("click", "cart", "purchase", "refund")])
def test_looking_searching_and_the_like_are_no_outcome(type_) -> None:
    assert outcome_of(event(type_), [served("r1", NOW - 1)], WINDOW) is None


def test_an_event_without_an_item_is_no_outcome() -> None:
    assert outcome_of(event("purchase", item=None), [], WINDOW) is None


def test_an_outcome_that_no_list_earned_is_an_outcome_all_the_same() -> None:
    outcome = outcome_of(event("purchase", value=5.0, currency="EUR"), [], WINDOW)
    assert (outcome.kind, outcome.source, outcome.item, outcome.value, outcome.credits) == (
        "purchase",
        "m1",
        "boot",
        5.0,
        (),
    )


def test_a_credit_carries_what_served_it() -> None:
    shown = served("r1", NOW - 1, surface="cart", variant="treatment")
    assert outcome_of(event(), [shown], WINDOW).credits == (
        Credit("r1", 1.0, "last_shown", "cart", "beckon", "m7", "treatment"),
    )


def test_the_list_the_event_names_earns_it_though_a_newer_one_showed_the_item() -> None:
    assert credit_of(event(rec_id="r1"), served("r1", NOW - 9), served("r2", NOW - 1)) == [("r1", "rec_id")]


def test_a_named_list_that_did_not_show_the_item_earns_nothing() -> None:
    assert credit_of(event(rec_id="r1"), served("r1", NOW - 1, "sock"), served("r2", NOW - 9)) == [("r2", "last_shown")]
    assert credit_of(event(rec_id="r1"), served("r1", NOW - 1, "sock")) == []


def test_without_a_name_the_newest_list_before_the_event_that_showed_the_item_earns_it() -> None:
    lists = [served("r1", NOW - 30), served("r2", NOW - 20), served("r3", NOW - 10, "sock"), served("r4", NOW + 1)]
    assert credit_of(event(), *lists) == [("r2", "last_shown")]
    assert credit_of(event(), *reversed(lists)) == [("r2", "last_shown")]


def test_of_two_lists_of_one_millisecond_the_greater_id_earns_it() -> None:
    assert credit_of(event(), served("r2", NOW), served("r1", NOW)) == [("r2", "last_shown")]


@pytest.mark.parametrize("rec_id", [None, "r1"])
def test_the_window_includes_its_first_millisecond_and_nothing_before(rec_id) -> None:
    assert len(credit_of(event(rec_id=rec_id), served("r1", NOW - WINDOW))) == 1
    assert credit_of(event(rec_id=rec_id), served("r1", NOW - WINDOW - 1)) == []


def test_a_named_list_counts_though_the_senders_clock_says_it_came_later() -> None:
    slow = event(rec_id="r1", ts=NOW - HOUR_MS, received_ts=NOW)
    assert credit_of(slow, served("r1", NOW - 1)) == [("r1", "rec_id")]
    assert credit_of(slow, served("r1", NOW + 1)) == []


@pytest.mark.parametrize(
    ("type_", "value", "quantity", "money"),
    [
        ("purchase", 0.1, 3, 0.3),
        ("purchase", 19.99, None, 19.99),
        ("purchase", None, 2, None),
        ("refund", 19.99, 2, -39.98),
        ("refund", -19.99, 2, -39.98),
        ("cart", 0.0, 5, 0.0),
    ],
)
def test_money_is_price_times_quantity_and_a_refund_takes_it_back(type_, value, quantity, money) -> None:
    outcome = outcome_of(event(type_, value=value, quantity=quantity, currency="EUR"), [], WINDOW)
    assert outcome.value == money
    assert outcome.quantity == (quantity or 1)


@pytest.mark.parametrize(
    ("type_", "source"), [("purchase", "order:7"), ("refund", "order:7"), ("cart", "m1"), ("click", "m1")]
)
def test_an_order_is_known_by_its_id(type_, source) -> None:
    assert outcome_of(event(type_, order_id="7"), [], WINDOW).source == source


def attributing(*lists):
    return Attribution(MemoryExposures(lists), MemoryOutcomes(), WINDOW, retention_ms=180 * DAY_MS)


def test_a_list_served_to_nobody_known_earns_what_is_done_by_its_rec_id() -> None:
    attribution = attributing(served("r1", NOW - 9, user_key=stranger_key("shoes", "r1")))
    attribution.handle(event(rec_id="r1"))
    attribution.handle(event(message_id="m2"))
    attribution.handle(event(message_id="m3", rec_id="r2"))
    earned = {outcome.source: [one.rec_id for one in outcome.credits] for outcome in attribution.outcomes.kept.values()}
    assert earned == {"m1": ["r1"], "m2": [], "m3": []}


def test_a_list_served_before_sign_in_earns_what_the_user_does_after() -> None:
    attribution = attributing(served("r1", NOW - 9, user_key="a1"))
    assert attribution.handle(event(anonymous_key="a1"))
    assert attribution.handle(event(message_id="m2"))
    kept = {outcome.source: len(outcome.credits) for outcome in attribution.outcomes.kept.values()}
    assert kept == {"m1": 1, "m2": 0}


def test_nobody_elses_lists_earn_anything() -> None:
    attribution = attributing(served("r1", NOW - 9, user_key="u2"))
    attribution.handle(event())
    assert [outcome.credits for outcome in attribution.outcomes.kept.values()] == [()]


def test_two_reports_of_one_order_are_one_outcome_whoever_sent_them() -> None:
    attribution = attributing()
    assert attribution.handle(event("purchase", order_id="7", user_key="a1"))
    assert not attribution.handle(event("purchase", order_id="7", user_key="u1", message_id="m2"))
    assert attribution.handle(event("purchase", order_id="7", item="sock", message_id="m3"))
    assert attribution.handle(event("refund", order_id="7", message_id="m4"))
    assert attribution.handle(event("purchase", order_id="8", message_id="m5"))


def test_an_outcome_is_kept_as_long_as_its_event_and_two_days_at_least() -> None:
    class Noting(MemoryOutcomes):
        def record(self, outcome, expires):
            self.expires = expires
            return super().record(outcome, expires)

    attribution = Attribution(MemoryExposures(), Noting(), WINDOW, retention_ms=180 * DAY_MS)
    attribution.handle(event())
    assert attribution.outcomes.expires == NOW + 180 * DAY_MS
    attribution.handle(event(message_id="m2", ts=NOW - 400 * DAY_MS, received_ts=NOW))
    assert attribution.outcomes.expires == NOW + 2 * DAY_MS
