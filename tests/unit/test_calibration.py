"""From scores of seen slots to probabilities."""

import numpy as np
import pyarrow as pa
import pytest

from beckon.conversions.model import Exposure, Slot
from beckon.learning.calibration import FEWEST_POSITIVES, WINDOW_MS, fit_probability, seen_slots
from tests.learning_shop import NOW, SHOP, exposures_table

COLUMNS = ("user_key", "type", "item", "ts", "rec_id")


def events(*rows):
    return pa.table({name: list(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)})


def exposure(rec_id, person, *slots):
    placed = tuple(Slot(item, n, score, score) for n, (item, score) in enumerate(slots, start=1))
    return Exposure(SHOP, rec_id, person, "home", "beckon", "m1", NOW, placed)


def test_only_seen_slots_count_and_acts_within_a_week_make_them_positive() -> None:
    shown = exposures_table(
        [
            exposure("r1", "ann", ("a", 3.0), ("b", 2.0), ("c", 1.0)),
            exposure("r2", "bob", ("a", 0.5), ("d", 0.25)),
        ]
    )
    scores, labels = seen_slots(
        shown,
        events(
            ("ann", "impression", "a", NOW + 1, "r1"),
            ("ann", "impression", "b", NOW + 1, "r1"),
            ("bob", "impression", "a", NOW + 1, "r2"),
            ("bob", "impression", "d", NOW + 1, "r2"),
            ("ann", "click", "a", NOW + 5, "r1"),
            ("ann", "click", "c", NOW + 5, None),  # of a slot nobody saw
            ("ann", "view", "b", NOW + 5, None),  # a view is no act
            ("bob", "purchase", "a", NOW + WINDOW_MS + 1, None),  # too late
            ("bob", "cart", "d", NOW + WINDOW_MS, None),
            ("eve", "click", "b", NOW + 5, "r1"),  # somebody else
        ),
    )
    assert sorted(zip(scores.tolist(), labels.tolist(), strict=True)) == [
        (0.25, True),
        (0.5, False),
        (2.0, False),
        (3.0, True),
    ]


def test_the_curve_that_made_the_outcomes_is_found_again() -> None:
    generator = np.random.default_rng(2)
    scores = generator.gamma(2.0, 1.5, 60_000)
    labels = generator.random(60_000) < 1 / (1 + np.exp(-(0.7 * scores - 4.0)))
    a, b = fit_probability(scores, labels)
    assert a == pytest.approx(0.7, rel=0.03)
    assert b == pytest.approx(-4.0, rel=0.02)


def test_below_two_hundred_positives_there_is_no_probability() -> None:
    scores = np.linspace(0, 1, 2_000)
    labels = np.zeros(2_000, dtype=bool)
    labels[-FEWEST_POSITIVES + 1 :] = True
    assert fit_probability(scores, labels) is None
    labels[-FEWEST_POSITIVES:] = True
    assert fit_probability(scores, labels) is not None


@pytest.mark.parametrize("scores", [np.linspace(1, 0, 1_000), np.full(1_000, 0.3)])
def test_a_score_that_foretells_nothing_gets_the_rate_of_all(scores) -> None:
    labels = np.arange(1_000) >= 750
    a, b = fit_probability(scores, labels)
    assert a == 0
    assert 1 / (1 + np.exp(-b)) == pytest.approx(0.25)


def test_nothing_seen_is_nothing_learnt() -> None:
    scores, labels = seen_slots(
        exposures_table([exposure("r1", "ann", ("a", 1.0))]), events(("ann", "view", "a", 1, None))
    )
    assert (len(scores), len(labels)) == (0, 0)
    assert fit_probability(scores, labels) is None


def test_scores_far_apart_still_converge() -> None:
    scores = np.concatenate([np.zeros(500), np.full(500, 1e4)])
    a, b = fit_probability(scores, scores > 0)  # perfectly told apart
    assert np.isfinite([a, b]).all()
    assert a > 0
