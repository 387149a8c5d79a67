"""From seen slots to probabilities: what is counted, and whether known chances are found again."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from beckon.conversions.model import Exposure, Slot
from beckon.learning import calibration
from beckon.learning.calibration import FEWEST_POSITIVES, chances_of, fit_probability, log_losses
from beckon.learning.chances import HISTORY_STARTS, POSITION_STARTS, bands
from beckon.learning.reliability import band_names, by_segment, reliability, segments
from beckon.learning.slots import WINDOW_MS, Slots, seen_slots
from tests.learning_shop import NOW, SHOP, exposures_table

COLUMNS = ("user_key", "type", "item", "ts", "rec_id")
WEIGHTS = {"view": 1.0, "click": 1.0, "cart": 2.0, "search": 0.0}


def events(*rows):
    return pa.table({name: list(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)})


def exposure(rec_id, person, *slots, **more):
    placed = tuple(Slot(item, n, score, score) for n, (item, score) in enumerate(slots, start=1))
    return Exposure(SHOP, rec_id, person, more.pop("surface", "home"), "beckon", "m1", NOW, placed, **more)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def slots_of(scores, labels, **more):
    many = len(scores)
    known = {
        "surfaces": np.full(many, "home"),
        "positions": np.ones(many, dtype=np.int64),
        "history": np.full(many, 4),
        "people": np.arange(many),
    }
    return Slots(np.asarray(scores, dtype=np.float64), np.asarray(labels), **(known | more))


def simulated(many, seed, *, only=None):
    """Slots of a shop whose chances are known, and those chances.

    Nothing is alike: scores grow with the history, and mean something else on each surface, where other slopes and
    offsets hold; lower places are acted on less; the curve bends.
    """
    generator = np.random.default_rng(seed)
    surfaces = generator.choice(["home", "similar", "cart"], many, p=[0.6, 0.3, 0.1]) if only is None else only
    history = np.where(surfaces == "home", generator.geometric(0.18, many) - 1, 1)
    history = np.where(surfaces == "cart", generator.integers(1, 5, many), history)
    positions = generator.integers(1, 13, many)
    scores = generator.gamma(2.0, 0.4 + 0.25 * np.minimum(history, 6), many)
    by_surface = {"home": (1.0, -0.2), "similar": (0.45, 0.5), "cart": (1.6, 0.9)}
    slope, offset = (np.vectorize(lambda name, n=n: by_surface[name][n])(surfaces) for n in (0, 1))
    bent = np.where(scores < 1.5, 0.9 * scores, 1.35 + 0.2 * (scores - 1.5))
    z = slope * (bent * np.where(history == 0, 0.3, 1.0) - 2.6 - 0.5 * np.log(positions)) + offset
    chances = sigma(z)
    labels = generator.random(many) < chances
    people = generator.integers(0, many // 6, many)
    return Slots(scores, labels, surfaces, positions, history, people), chances


def descended(design, labels, deviations, centre):
    """Gradient descent with backtracking, in loops over features: slow, and no Hessian anywhere."""
    beta = [0.0] * design.shape[1]

    def loss(values):
        z = sum(value * design[:, place] for place, value in enumerate(values))
        penalty = sum((value - c) ** 2 / (2 * sd * sd) for value, c, sd in zip(values, centre, deviations, strict=True))
        return float(np.log1p(np.exp(np.minimum(np.where(labels, -z, z), 700))).sum()) + penalty

    step = 1.0
    for _ in range(20_000):
        chance = sigma(sum(value * design[:, place] for place, value in enumerate(beta)))
        slope = [
            float(((chance - labels) * design[:, place]).sum()) + (beta[place] - centre[place]) / deviations[place] ** 2
            for place in range(len(beta))
        ]
        size = sum(one * one for one in slope)
        if size < 1e-14:
            break
        now = loss(beta)
        while loss([b - step * s for b, s in zip(beta, slope, strict=True)]) > now - 0.3 * step * size and step > 1e-12:
            step /= 2
        beta = [b - step * s for b, s in zip(beta, slope, strict=True)]
        step *= 2
    return beta


def test_only_seen_slots_count_and_acts_within_a_week_make_them_positive() -> None:
    shown = exposures_table(
        [
            exposure("r1", "ann", ("a", 3.0), ("b", 2.0), ("c", 1.0), history=7),
            exposure("r2", "bob", ("a", 0.5), ("d", 0.25)),
        ]
    )
    found = seen_slots(
        shown,
        events(
            ("ann", "impression", "a", NOW + 1, "r1"),
            ("ann", "impression", "b", NOW + 1, "r1"),
            ("ann", "click", "a", NOW + 5, "r1"),
            ("ann", "click", "c", NOW + 5, None),  # of a slot nobody saw
            ("ann", "view", "b", NOW + 5, None),  # a view is no act
            ("bob", "view", "e", NOW - 2, None),
            ("bob", "search", "f", NOW - 1, None),  # weighs nothing: no part of the history
            ("bob", "impression", "a", NOW + 1, "r2"),
            ("bob", "impression", "d", NOW + 1, "r2"),
            ("bob", "purchase", "a", NOW + WINDOW_MS + 1, None),  # too late
            ("bob", "cart", "d", NOW + WINDOW_MS, None),
            ("eve", "click", "b", NOW + 5, "r1"),  # somebody else
        ),
        WEIGHTS,
    )
    rows = zip(found.scores, found.labels, found.positions, found.history, found.surfaces, strict=True)
    assert list(rows) == [
        (3.0, True, 1, 7, "home"),
        (2.0, False, 2, 7, "home"),
        (0.5, False, 1, 1, "home"),  # an exposure that does not say: the one view before it
        (0.25, True, 2, 1, "home"),
    ]
    assert found.people.tolist() == [0, 0, 1, 1]


def test_the_curve_that_made_the_outcomes_is_found_again() -> None:
    generator = np.random.default_rng(2)
    scores = generator.gamma(2.0, 1.5, 60_000)
    labels = generator.random(60_000) < sigma(0.7 * scores - 4.0)
    found = fit_probability(slots_of(scores, labels)).calibration
    grid = np.array([0.5, 2.0, 5.0, 7.5])
    alone = np.full(4, 4)
    chances = found.chances(grid, alone, np.ones(4, dtype=int), np.full(4, "home"))
    np.testing.assert_allclose(chances, sigma(0.7 * grid - 4.0), rtol=0.06)


@pytest.mark.parametrize("seed", [1, 2])
def test_in_every_segment_chances_miss_the_known_ones_by_less_than_a_tenth_of_the_rate(seed) -> None:
    slots, _ = simulated(160_000, seed)
    there, truth = simulated(80_000, seed + 100)
    fitted = fit_probability(slots)
    chances = chances_of(fitted.calibration, there)
    checked = 0
    for name, kept in segments(there):
        if kept.sum() < 400:
            continue
        found = reliability(name, chances[kept], truth[kept])
        assert found.error <= 0.10 * found.rate, (name, found.error / found.rate, fitted.calibration.method)
        checked += 1
    assert checked == 1 + 3 + len(POSITION_STARTS) + len(HISTORY_STARTS)
    rate = np.full(len(there), slots.labels.mean())
    assert log_losses(chances, there.labels).mean() < 0.97 * log_losses(rate, there.labels).mean()


def test_a_bent_curve_is_told_from_a_straight_one_by_those_held_out() -> None:
    slots, _ = simulated(60_000, 5)
    found = fit_probability(slots).calibration
    assert found.method == "bent"
    assert found.losses["bent"] < found.losses["platt"] < found.losses["score"] < found.losses["base"]


def test_the_fit_is_that_of_plain_gradient_descent() -> None:
    generator = np.random.default_rng(8)
    design = np.stack((generator.normal(1, 2, 300), np.ones(300), generator.random(300) < 0.3), axis=1)
    labels = generator.random(300) < sigma(0.8 * design[:, 0] - 1.5 + 0.7 * design[:, 2])
    deviations, centre = np.array([0.5, 3.0, 0.8]), np.array([1.0, 0.0, -0.5])
    found = calibration._newton(design, labels, deviations, centre)
    np.testing.assert_allclose(found, descended(design, labels, deviations, centre), rtol=1e-5)


def test_below_two_hundred_positives_there_is_no_probability() -> None:
    scores = np.linspace(0, 1, 2_000)
    labels = np.zeros(2_000, dtype=bool)
    labels[-FEWEST_POSITIVES + 1 :] = True
    assert fit_probability(slots_of(scores, labels)) is None
    labels[-FEWEST_POSITIVES:] = True
    assert fit_probability(slots_of(scores, labels)) is not None


@pytest.mark.parametrize("scores", [np.linspace(1, 0, 1_000), np.full(1_000, 0.3)])
def test_a_score_that_foretells_nothing_gets_the_rate_of_all(scores) -> None:
    slots = slots_of(scores, np.arange(1_000) >= 750)
    assert chances_of(fit_probability(slots).calibration, slots) == pytest.approx(0.25, abs=0.003)


def test_a_segment_with_hardly_a_positive_stays_near_the_whole_and_finite() -> None:
    slots, _ = simulated(20_000, 6)
    few = np.flatnonzero(slots.surfaces == "cart")[:3]
    kept = slots.surfaces != "cart"
    kept[few] = True
    labels = slots.labels.copy()
    labels[few] = [True, True, True]
    found = fit_probability(replace(slots, labels=labels).where(kept)).calibration
    slope, offset = found.surfaces["cart"]
    assert 0 < slope < 3
    assert 0 < offset < 3
    for values in (found.slopes, found.offsets, found.positions):
        assert np.isfinite(values).all()
        assert np.abs(values).max() < 12


def test_no_slope_is_negative_where_one_band_goes_the_wrong_way() -> None:
    generator = np.random.default_rng(3)
    scores, history = generator.random(30_000) * 3, generator.choice([0, 4], 30_000, p=[0.4, 0.6])
    labels = generator.random(30_000) < sigma(np.where(history == 0, -scores, 1.2 * scores) - 2)
    slots = slots_of(scores, labels, history=history)
    found = fit_probability(slots)
    assert found.calibration.slopes[0] == 0
    assert found.calibration.slopes[2] > 0
    for kept in (history == 0, history == 4):
        assert chances_of(found.calibration, slots)[kept].mean() == pytest.approx(labels[kept].mean(), rel=0.02)


def test_nothing_seen_is_nothing_learnt() -> None:
    found = seen_slots(
        exposures_table([exposure("r1", "ann", ("a", 1.0))]), events(("ann", "view", "a", 1, None)), WEIGHTS
    )
    assert len(found) == 0
    assert fit_probability(found) is None


def test_scores_far_apart_still_converge() -> None:
    scores = np.concatenate([np.zeros(500), np.full(500, 1e4)])
    slots = slots_of(scores, scores > 0)  # perfectly told apart
    chances = chances_of(fit_probability(slots).calibration, slots)
    assert np.isfinite(chances).all()
    assert chances[0] < 0.05
    assert chances[-1] > 0.95


def test_the_same_slots_give_the_same_numbers_and_one_person_may_have_all() -> None:
    slots, _ = simulated(3_000, 9)
    alone = replace(slots, people=np.zeros(len(slots), dtype=np.int64))
    one, other = fit_probability(slots), fit_probability(slots)
    assert one.calibration == other.calibration
    assert np.isfinite(chances_of(fit_probability(alone).calibration, alone)).all()


def test_held_out_chances_are_told_by_segment() -> None:
    slots, _ = simulated(30_000, 4)
    fitted = fit_probability(slots)
    found = {one.segment: one for one in by_segment(fitted.slots, fitted.held)}
    assert {"all", "surface cart", "position 3-5", "history 0", "history 16+"} <= found.keys()
    assert found["all"].slots == sum(one.slots for name, one in found.items() if name.startswith("surface"))
    assert found["all"].error < 0.1 * found["all"].rate
    assert not np.array_equal(fitted.held, chances_of(fitted.calibration, fitted.slots))  # not those it was fitted on


def test_reliability_is_the_mean_gap_of_equal_bins() -> None:
    found = reliability("x", np.array([0.1, 0.2, 0.9, 0.7]), np.array([0, 1, 1, 0]), bins=2)
    assert [pytest.approx(one) for one in found.bins] == [(0.15, 0.5, 2), (0.8, 0.5, 2)]
    assert found.error == pytest.approx((0.35 + 0.30) / 2)


def test_bands_hold_every_length_and_have_names() -> None:
    assert bands(np.array([0, 1, 2, 3, 15, 16, 999]), HISTORY_STARTS).tolist() == [0, 1, 1, 2, 3, 4, 4]
    assert band_names(POSITION_STARTS) == ["1", "2", "3-5", "6-10", "11+"]
