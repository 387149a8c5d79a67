"""What an outcome adds to which counter."""

from decimal import Decimal

import pytest

from beckon.aws.table import counter_key, order_key
from beckon.conversions.counters import _CURRENCIES, CounterName, increments
from beckon.conversions.model import Credit, Outcome

TEN_PAST = 1_790_000_640_000  # 2026-09-21T14:24:00Z


def outcome(*shares, kind="purchase", value=19.99, currency="EUR"):
    credits_ = tuple(Credit(f"r{n}", share, "rec_id", *where) for n, (share, *where) in enumerate(shares))
    return Outcome("shoes", "u1", "m1", "boot", kind, TEN_PAST, value, currency, 1, credits_)


def test_an_outcome_counts_where_it_was_earned_with_its_money_in_millionths() -> None:
    assert increments(outcome((1.0, "home", "beckon", "m7", "treatment"))) == {
        CounterName("2026-09-21T14", "home", "beckon", "m7", "treatment"): {
            "purchases": 1,
            "purchase_value_EUR": 19_990_000,
        }
    }


def test_what_no_list_earned_counts_for_the_hour() -> None:
    counted = increments(outcome(kind="refund", value=-5.0, currency="JPY"))
    assert counted == {CounterName("2026-09-21T14"): {"refunds": 1, "refund_value_JPY": -5_000_000}}


def test_an_outcome_without_money_counts_without_money() -> None:
    assert increments(outcome(kind="click", value=None)) == {CounterName("2026-09-21T14"): {"clicks": 1}}


def test_credits_of_one_counter_are_summed_and_the_whole_is_never_more_than_one() -> None:
    home, cart = ("home", "beckon", "m7", None), ("cart", "beckon", None, None)
    counted = increments(outcome((0.3, *home), (0.2, *cart), (0.1, *home)))
    assert {name.surface: amounts["purchases"] for name, amounts in counted.items()} == {
        "home": Decimal("0.4"),
        "cart": Decimal("0.2"),
        "": Decimal("0.4"),
    }
    assert sum(amounts["purchase_value_EUR"] for amounts in counted.values()) == 19_990_000


@pytest.mark.parametrize("currency", [None, "ZZZ", "eur", "", "E" * 300])
def test_a_currency_nobody_mints_makes_no_attribute_of_its_own(currency) -> None:
    (amounts,) = increments(outcome(currency=currency)).values()
    assert set(amounts) == {"purchases", "purchase_value_XXX"}


def test_the_table_of_currencies_has_codes_alone() -> None:
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in _CURRENCIES)
    assert {"EUR", "USD", "JPY", "GBP"} <= _CURRENCIES


def test_texts_with_separators_cannot_make_two_counters_one() -> None:
    first = counter_key("shoes", "u1", CounterName("h", "a#b", "c"))
    second = counter_key("shoes", "u1", CounterName("h", "a", "b#c"))
    assert first != second


def test_no_orders_mark_looks_like_a_record_that_the_lake_keeps() -> None:
    # archive takes what begins with E#, V#, X#, O# or R#; an item may be called anything.
    line = Outcome("shoes", "u1", "order:7", "E", "purchase", TEN_PAST, None, None, 1, ())
    assert order_key(line)[1].startswith("S#")
