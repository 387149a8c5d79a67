"""The interval of a lift: published figures, and an oracle that shares no algebra with the code."""

import numpy as np
import pytest

from infra.demo.lift import Z_95, lift


def bootstrap(control: np.ndarray, treatment: np.ndarray, draws: int = 20_000) -> tuple[float, float]:
    """Oracle: draw each arm's users again with replacement; the middle 95 % of the ratio of means."""
    rng = np.random.default_rng(5)
    c = np.array([rng.choice(control, control.size).mean() for _ in range(draws)])
    t = np.array([rng.choice(treatment, treatment.size).mean() for _ in range(draws)])
    low, high = np.quantile(t / c - 1, [0.025, 0.975])
    return float(low), float(high)


def test_gives_the_published_risk_ratio_of_the_physicians_health_study():
    # Agresti, Categorical Data Analysis, 2nd ed., 3.1: heart attacks 189 of 11,034 on placebo, 104 of 11,037 on
    # aspirin: relative risk 1.82, 95 % interval 1.43 to 2.31.
    found = lift([1.0] * 104 + [0.0] * 10_933, [1.0] * 189 + [0.0] * 10_845)
    assert round(found.lift + 1, 2) == 1.82
    assert round(found.low + 1, 2) == 1.43
    assert round(found.high + 1, 2) == 2.31


def test_agrees_with_resampling_users_of_unequal_arms_and_counts_above_one():
    rng = np.random.default_rng(11)
    control, treatment = rng.poisson(0.4, 700).astype(float), rng.negative_binomial(1, 0.6, 450).astype(float)
    found = lift(control, treatment)
    low, high = bootstrap(control, treatment)
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.06)
    assert found.excludes_zero


def test_a_small_case_worked_by_hand():
    # Means 1 and 2, variances 2 and 3 (n - 1): se² = 3/(3·2²) + 2/(2·1²) = 1.25; 2·exp(∓1.96·1.118) - 1.
    found = lift([0.0, 2.0], [1.0, 1.0, 4.0])
    assert (found.control, found.treatment, found.lift) == (1.0, 2.0, 1.0)
    assert found.low == pytest.approx(-0.776_459, abs=1e-6)
    assert found.high == pytest.approx(16.893_787, abs=1e-6)


def test_swapping_the_arms_inverts_the_ratio_and_its_interval():
    control, treatment = [1.0] * 30 + [0.0] * 70, [1.0] * 90 + [0.0] * 60
    there, back = lift(control, treatment), lift(treatment, control)
    assert (1 + there.lift) * (1 + back.lift) == pytest.approx(1)
    assert (1 + there.low) * (1 + back.high) == pytest.approx(1)


def test_covers_the_truth_in_95_of_100_experiments_without_a_difference():
    rng = np.random.default_rng(3)
    covered = [
        not lift((rng.random(300) < 0.15).astype(float), (rng.random(300) < 0.15).astype(float)).excludes_zero
        for _ in range(2_000)
    ]
    assert 0.94 <= np.mean(covered) <= 0.965


def test_a_wider_certainty_has_a_wider_interval():
    control, treatment = [1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0]
    narrow, wide = lift(control, treatment, z=1.0), lift(control, treatment, z=Z_95)
    assert wide.low < narrow.low < narrow.lift < narrow.high < wide.high


@pytest.mark.parametrize(
    ("control", "treatment", "said"),
    [
        ([0.0] * 5, [1.0, 0.0], "no conversion among 5 users of control"),
        ([1.0, 0.0], [0.0] * 4, "no conversion among 4 users of treatment"),
        ([1.0], [1.0, 0.0], "control has 1 user"),
        ([1.0, 0.0], [], "treatment has 0 user"),
        ([float("nan"), 1.0], [1.0, 0.0], "control"),
    ],
)
def test_refuses_what_has_no_ratio(control, treatment, said):
    with pytest.raises(ValueError, match=said):
        lift(control, treatment)
