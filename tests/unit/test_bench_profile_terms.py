"""What the profiles' bench adds to a score is what the profile says."""

import numpy as np
import pytest

from beckon.catalog.model import Item
from beckon.learning.evaluation import leave_out
from beckon.learning.recipe import EVENT_WEIGHTS
from beckon.learning.sequences import sequences_from
from beckon.values import DAY_MS
from infra.bench.profile_terms import _terms

SHELF = {
    name: Item("bench", name, name, 0, categories=categories, price=price)
    for name, categories, price in (
        ("a", ("tea",), 10.0),
        ("b", ("tea", "sale"), 20.0),
        ("c", ("mugs",), 40.0),
        ("d", (), None),
    )
}


def test_terms_are_the_shares_and_the_band_of_what_came_before_the_target() -> None:
    import pyarrow as pa

    events = [("ann", 0, "a", "view"), ("ann", DAY_MS, "b", "cart"), ("ann", 2 * DAY_MS, "c", "view")]
    table = pa.table(dict(zip(("user_key", "ts", "item", "type"), map(list, zip(*events, strict=True)), strict=True)))
    targets = leave_out(sequences_from(table, SHELF, EVENT_WEIGHTS), 0, 10)
    [(category, price)] = _terms(targets, slice(0, 1), list(SHELF.values()), SHELF)
    older, newer = 1 * 2 ** (-2 / 30), 3 * 2 ** (-1 / 30)  # a look two days before the target, a cart one day before
    tea, sale = older + newer / 2, newer / 2
    assert category == pytest.approx([1.0, 1.0 + sale / tea, 0.0, 0.0])
    assert price == pytest.approx([(10 / 20) ** 2, 1.0, (20 / 40) ** 2, 0.0])
    assert np.argmax(category + price) == 1
