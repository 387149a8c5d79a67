"""From scores to probabilities: a logistic curve through slots that were really seen."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beckon.values import DAY_MS

FEWEST_POSITIVES = 200
WINDOW_MS = 7 * DAY_MS
POSITIVE_TYPES = ("click", "cart", "purchase")
_STEPS = 50
_RIDGE = 1e-6
_CONVERGED = 1e-10


def seen_slots(exposures: Any, events: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the score of every slot that an impression says was seen, and whether its item was then acted on.

    `exposures` (rec_id, user_key, ts, slots) and `events` (user_key, type, item, ts, rec_id) are Arrow tables. Acted
    on: a click, cart or purchase of the item by the same person within a week of the exposure.
    """
    events = events.filter(pc.is_in(events.column("type"), value_set=pa.array(["impression", *POSITIVE_TYPES])))
    kinds = events.column("type").to_pylist()
    items = events.column("item").to_pylist()
    people = events.column("user_key").to_pylist()
    times = events.column("ts").to_pylist()
    recommendations = events.column("rec_id").to_pylist()
    seen = {(recommendations[n], items[n]) for n, kind in enumerate(kinds) if kind == "impression"}
    acts: dict[tuple[str, str], list[int]] = {}
    for n, kind in enumerate(kinds):
        if kind in POSITIVE_TYPES:
            acts.setdefault((people[n], items[n]), []).append(times[n])
    scores: list[float] = []
    labels: list[bool] = []
    columns = (exposures.column(name).to_pylist() for name in ("rec_id", "user_key", "ts", "slots"))
    for rec_id, person, ts, slots in zip(*columns, strict=True):
        for slot in slots:
            if (rec_id, slot["item"]) in seen and np.isfinite(slot["score"]):
                scores.append(slot["score"])
                labels.append(any(ts <= at <= ts + WINDOW_MS for at in acts.get((person, slot["item"]), ())))
    return np.array(scores, dtype=np.float64), np.array(labels, dtype=np.bool_)


def fit_probability(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Return (a, b) of P = 1/(1 + e^−(a·score + b)) of greatest likelihood; None below 200 positives.

    A score that foretells nothing, or the wrong way round, gets a = 0: everybody's rate is then the answer.
    Source: Platt, Probabilistic outputs for support vector machines, 1999; fitted by Newton's method.
    """
    positives = int(labels.sum())
    if positives < FEWEST_POSITIVES or positives == len(labels):
        return None
    rate = positives / len(labels)
    flat = (0.0, float(np.log(rate / (1 - rate))))
    spread = float(scores.std())
    if not spread > 0:
        return flat
    x = np.stack(((scores - scores.mean()) / spread, np.ones_like(scores)), axis=1)
    beta = np.array(flat)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (labels - chance) - _RIDGE * beta
        step = np.linalg.solve((x * (chance * (1 - chance))[:, None]).T @ x + _RIDGE * np.eye(2), gradient)
        beta = beta + step
        if float(np.abs(step).max()) < _CONVERGED:
            break
    slope = float(beta[0]) / spread
    return (slope, float(beta[1]) - slope * float(scores.mean())) if slope > 0 else flat
