"""Adam for tables of which a batch touches few rows, equal to Adam on the whole table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.bench.learning.task import Floats, Longs

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
_FAR = 2_000  # (β₁/√β₂)^2000 is nothing in 64 bits


class Adam:
    """Adam on dense parameters, in place: p −= lr·c_t·m/(√v + ε), c_t = √(1 − β₂ᵗ)/(1 − β₁ᵗ).

    Source: Kingma & Ba, Adam, ICLR 2015, algorithm 1 in the order of its section 2.
    """

    def __init__(self, parameters: list[NDArray[Any]], rate: float) -> None:
        self.parameters, self.rate, self.steps = parameters, rate, 0
        self.moments = [(np.zeros_like(one), np.zeros_like(one)) for one in parameters]

    def step(self, gradients: list[NDArray[Any]]) -> None:
        """Apply one step."""
        self.steps += 1
        rate = self.rate * np.sqrt(1 - BETA_2**self.steps) / (1 - BETA_1**self.steps)
        for parameter, moments, gradient in zip(self.parameters, self.moments, gradients, strict=True):
            moments[0][:] = BETA_1 * moments[0] + (1 - BETA_1) * gradient
            moments[1][:] = BETA_2 * moments[1] + (1 - BETA_2) * gradient * gradient
            parameter[:] = parameter - rate * moments[0] / (np.sqrt(moments[1]) + EPSILON)


class SparseAdam:
    """Adam on a table [rows, width] whose gradients are 0 but in a few rows, which alone are read and written.

    A row that was left alone for k steps has moved by lr·(m/√v)·Σ_{i=1..k} rⁱ·c_{t+i}, r = β₁/√β₂, when it is next
    looked at: what Adam on the whole table would have done to it, ε aside (which is small against √v).
    """

    def __init__(self, table: Floats, rate: float, steps: int) -> None:
        self.table, self.rate, self.steps = table, rate, 0
        self.m, self.v = np.zeros_like(table), np.zeros_like(table)
        self.at = np.zeros(len(table), dtype=np.int64)
        t = np.arange(1, steps + _FAR + 2, dtype=np.float64)
        correction = np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        r = BETA_1 / np.sqrt(BETA_2)
        ahead = np.empty(len(t))  # ahead[t] = Σ_{i≥1} rⁱ c_{t+i}
        following = correction[-1] * r / (1 - r)
        for place in range(len(t) - 1, -1, -1):
            following = r * (correction[place] + following)
            ahead[place] = following
        self.ahead, self.correction = ahead, correction

    def rows(self, rows: Longs) -> Floats:
        """Return rows as they stand after the last step, each brought up to date."""
        left = self.steps - self.at[rows]
        moved = self.ahead[self.at[rows]] - self.ahead[self.steps] * (BETA_1 / np.sqrt(BETA_2)) ** left
        m, v = self.m[rows], self.v[rows]
        far = (self.rate * moved).astype(np.float32)[:, None]
        now: Floats = self.table[rows] - far * m / (np.sqrt(v) + np.float32(1e-30))
        self.table[rows] = now
        self.m[rows] = m * (BETA_1**left).astype(np.float32)[:, None]
        self.v[rows] = v * (BETA_2**left).astype(np.float32)[:, None]
        self.at[rows] = self.steps
        return now

    def step(self, rows: Longs, gradients: Floats) -> None:
        """Apply one step; `rows` are distinct and have just been read by `rows`."""
        self.steps += 1
        m = np.float32(BETA_1) * self.m[rows] + np.float32(1 - BETA_1) * gradients
        v = np.float32(BETA_2) * self.v[rows] + np.float32(1 - BETA_2) * gradients * gradients
        self.m[rows], self.v[rows] = m, v
        rate = np.float32(self.rate * self.correction[self.steps - 1])
        self.table[rows] -= rate * m / (np.sqrt(v) + np.float32(EPSILON))
        self.at[rows] = self.steps

    def whole(self) -> Floats:
        """Return the table with every row brought up to date."""
        return self.rows(np.arange(len(self.table)))


def summed(rows: Longs, gradients: Floats) -> tuple[Longs, Floats]:
    """Return the distinct rows, ascending, and the sum of each one's gradients.

    The k-th gradient of every row that has so many is added at once: most rows have one or two.
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    firsts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(firsts, append=len(rows))
    sums = gradients[order[firsts]]
    left, k = np.flatnonzero(lengths > 1), 1
    while len(left):
        sums[left] += gradients[order[firsts[left] + k]]
        k += 1
        left = left[lengths[left] > k]
    return ordered[firsts], sums
