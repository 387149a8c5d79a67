"""Refunds and removals take away what they undo, once, of the same person and item."""

import pytest

from beckon.events.takeback import taken_back


@pytest.mark.parametrize(
    ("steps", "undone"),
    [
        ([("view", "a", None), ("cart", "a", None), ("remove", "a", None)], {1}),
        ([("cart", "a", None), ("cart", "a", None), ("remove", "a", None)], {1}),
        ([("cart", "a", None), ("remove", "b", None)], set()),
        ([("remove", "a", None), ("cart", "a", None)], set()),
        ([("cart", "a", None), ("purchase", "a", "o1"), ("refund", "a", "o1")], {0, 1}),
        ([("purchase", "a", "o1"), ("purchase", "a", "o2"), ("refund", "a", "o1")], {0}),
        ([("purchase", "a", "o1"), ("purchase", "a", "o2"), ("refund", "a", None)], {1}),
        ([("purchase", "a", None), ("refund", "a", "o1")], {0}),
        ([("purchase", "a", "o1"), ("purchase", "b", "o1"), ("purchase", "c", "o2"), ("refund", None, "o1")], {0, 1}),
        ([("purchase", "a", "o1"), ("refund", "a", "o1"), ("refund", "a", "o1"), ("purchase", "a", "o1")], {0}),
        ([("purchase", "a", "o1"), ("refund", None, None)], set()),
        ([("purchase", "a", "o1"), ("remove", "a", None)], set()),
    ],
)
def test_what_was_taken_back_is_undone_once(steps, undone) -> None:
    assert taken_back(steps) == undone


def test_a_bulk_account_that_gives_everything_back_takes_no_longer_than_its_events() -> None:
    steps = [("purchase", "a", f"o{n}") for n in range(50_000)] + [("refund", "a", f"o{n}") for n in range(50_000)]
    assert taken_back(steps) == set(range(50_000))
