"""Lift of one arm over another, with an interval, from one number a user."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Lift:
    """`lift` = treatment/control − 1 with its interval [low, high], and each arm's users and mean."""

    control: float
    treatment: float
    control_users: int
    treatment_users: int
    lift: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves out "no difference"."""
        return not self.low <= 0 <= self.high


def lift(control: Sequence[float], treatment: Sequence[float], z: float = Z_95) -> Lift:
    """Return the ratio of two arms' means, with a 95 % interval by the delta method on its logarithm.

    lift = t̄/c̄ − 1,   se² = s_t²/(n_t·t̄²) + s_c²/(n_c·c̄²),   [low, high] = (t̄/c̄)·exp(∓z·se) − 1,

    where s² is the variance with n − 1. The unit is the user, so that what one user does many times counts as one
    draw; for values of 0 and 1 this is Katz's interval, up to n against n − 1.

    Args: control, treatment: one value ≥ 0 for every assigned user, attributed or not, zeros included.
    Raises: ValueError if an arm has fewer than two users or nothing but zeros: then a ratio has no interval.
    Source: Katz et al., Obtaining confidence intervals for the risk ratio in cohort studies, Biometrics 34 (1978).
    """
    c, t = np.asarray(control, dtype=np.float64), np.asarray(treatment, dtype=np.float64)
    for name, values in (("control", c), ("treatment", t)):
        if values.size < 2:  # noqa: PLR2004 - a variance needs two
            raise ValueError(f"{name} has {values.size} user(s); a lift needs at least two in each arm")
        if not values.mean() > 0:
            raise ValueError(f"no conversion among {values.size} users of {name}; a lift needs some in each arm")
    ratio = t.mean() / c.mean()
    error = np.sqrt(t.var(ddof=1) / (t.size * t.mean() ** 2) + c.var(ddof=1) / (c.size * c.mean() ** 2))
    return Lift(
        control=float(c.mean()),
        treatment=float(t.mean()),
        control_users=int(c.size),
        treatment_users=int(t.size),
        lift=float(ratio - 1),
        low=float(ratio * np.exp(-z * error) - 1),
        high=float(ratio * np.exp(z * error) - 1),
    )
