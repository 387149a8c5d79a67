"""Fitting probabilities to seen slots: of three families, the one that foretells held-out people best."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beckon.learning.chances import HISTORY_STARTS, POSITION_STARTS, Calibration, bands
from beckon.learning.slots import Slots

FEWEST_POSITIVES = 200
MOST_SLOTS = 300_000  # the newest are enough to fit some twenty numbers
FOLDS = 3
GOLDEN, WORD = np.uint64(2_654_435_769), np.uint64(1 << 32)
KNOTS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.97)  # quantiles of the score where the curve may bend
# Standard deviations of what is believed before anything is seen, in log odds: how much a band, a place or a surface
# may differ from the whole, and by what factor. A segment without positives stays at the whole; one with hundreds
# speaks for itself.
OFFSET_SD = 1.0
SLOPE_SD = 0.5
COMMON_SD = 10.0
BEND_SD = 1.0
FAMILIES = ("score", "platt", "bent")  # from the simplest: a later one must be better, not as good
ROUNDING = 1e-9  # relative spread below which scores are one score
_STEPS = 60
_CONVERGED = 1e-9

type Values = NDArray[np.float64]
type Flags = NDArray[np.bool_]
type _Points = tuple[tuple[float, ...], tuple[float, ...]]  # scores, rising, and f there


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibration fitted on `slots`, and the chances `held` that its family gave them before it knew them."""

    calibration: Calibration
    slots: Slots
    held: Values


def fit_probability(slots: Slots) -> Fitted | None:
    """Return the calibration that foretells best; None below 200 positives, or when all are.

    Families: `score` is σ(a·score + b); `platt` and `bent` have a slope and an offset for each band of history length,
    an offset a place, and a line of their own a surface, on the score or on a curve of it that never falls. Each is
    fitted without a third of the people and judged by log-loss on them, three times; if none beats the plain rate, that
    is the answer. The one that is taken is fitted on all. Deterministic; no slope is negative, so that a higher score
    never means a lower chance in the same place.
    Source: Platt, Probabilistic outputs for support vector machines, 1999; cost: slots × features² a Newton step.
    """
    slots = slots.newest(MOST_SLOTS)
    positives = int(slots.labels.sum())
    if positives < FEWEST_POSITIVES or positives == len(slots):
        return None
    # People are numbered in the order of their keys: by the golden ratio no pattern in that order falls into one fold.
    fold = ((slots.people.astype(np.uint64) * GOLDEN) % WORD * np.uint64(FOLDS) // WORD).astype(np.int64)
    held = np.zeros((len(FAMILIES) + 1, len(slots)))
    for number in range(FOLDS):
        there, rest = fold == number, slots.where(fold != number)
        if not 0 < int(rest.labels.sum()) < len(rest):
            rest = slots  # one person did it all; nothing can be held out
        for place, fitted in enumerate((_flat(rest), *(_fitted(rest, family) for family in FAMILIES))):
            held[place, there] = chances_of(fitted, slots.where(there))
    means = log_losses(held, slots.labels).mean(axis=1)
    best = int(np.argmin(means))
    chosen = _flat(slots) if best == 0 else _fitted(slots, FAMILIES[best - 1])
    named = dict(zip(("base", *FAMILIES), np.round(means, 6).tolist(), strict=True))
    return Fitted(replace(chosen, losses=named), slots, held[best])


def chances_of(calibration: Calibration, slots: Slots) -> Values:
    """Return the chance of each slot."""
    return calibration.chances(slots.scores, slots.history, slots.positions, slots.surfaces)


def log_losses(chances: Values, labels: Flags) -> Values:
    """Return −log of the chance that was given to what happened, in nats a slot."""
    return np.asarray(-np.log(np.where(labels, chances, 1 - chances)))


def _flat(slots: Slots) -> Calibration:
    rate = float(slots.labels.mean())
    return replace(Calibration.of_score(0.0, float(np.log(rate / (1 - rate)))), method="base")


def _fitted(slots: Slots, family: str) -> Calibration:
    curve = _straight(slots.scores)
    if curve is None:
        return _flat(slots)
    if family == "bent":
        curve = _bent(curve, slots)
    line = Calibration(family, curve[0], curve[1], (1.0,) * len(HISTORY_STARTS), (0.0,) * len(HISTORY_STARTS))
    x = line.curve(slots.scores)
    if family == "score":
        slope, offset = _one_line(x, slots.labels)
        return replace(line, slopes=(slope,) * len(HISTORY_STARTS), offsets=(offset,) * len(HISTORY_STARTS))
    line = _by_band(line, x, slots)
    z = line.log_odds(slots.scores, slots.history, slots.positions)
    names = sorted(set(slots.surfaces.tolist()))
    return replace(line, surfaces={name: _of_surface(z, slots, slots.surfaces == name) for name in names})


def _one_line(x: Values, labels: Flags) -> tuple[float, float]:
    design = np.stack((x, np.ones_like(x)), axis=1)
    slope, offset = _newton(design, labels, np.array([COMMON_SD, COMMON_SD]))
    if slope > 0:
        return float(slope), float(offset)
    return 0.0, float(_newton(design[:, 1:], labels, np.array([COMMON_SD]))[0])


def _by_band(line: Calibration, x: Values, slots: Slots) -> Calibration:
    """Return the line with slopes and offsets by history band and place; surfaces are held apart and then left out.

    A band whose slope comes out negative has none, and the rest is fitted again.
    """
    many, places = len(HISTORY_STARTS), len(POSITION_STARTS)
    band, rest, deviations = _segments(slots)
    deviations = np.concatenate(([COMMON_SD], np.full(many, SLOPE_SD), deviations))
    has_slope = np.ones(many, dtype=np.bool_)
    for _ in range(many + 1):
        own = (x * (band @ has_slope.astype(np.float64)))[:, None]
        beta = _newton(np.concatenate((own, band * own, _turned(rest, own)), axis=1), slots.labels, deviations)
        slopes = np.where(has_slope, beta[0] + beta[1 : 1 + many], 0.0)
        if not (slopes < 0).any():
            break
        has_slope &= slopes > 0
    common, offsets, positions = np.split(beta[1 + many :], [1, 1 + many, 1 + many + places])[:3]
    return replace(
        line,
        slopes=tuple(np.maximum(slopes, 0).tolist()),
        offsets=tuple((common + offsets).tolist()),
        positions=tuple(positions.tolist()),
    )


def _segments(slots: Slots) -> tuple[Values, Values, Values]:
    """Return bands of history [slots, bands]; one, bands, places, surfaces [slots, …]; and the latter's deviations.

    The last third of the deviations is of the surfaces' slopes, whose columns `_turned` makes.
    """
    band = np.eye(len(HISTORY_STARTS))[bands(slots.history, HISTORY_STARTS)]
    place = np.eye(len(POSITION_STARTS))[bands(slots.positions, POSITION_STARTS)]
    names, which = np.unique(slots.surfaces, return_inverse=True)
    surface = np.eye(len(names))[which]
    rest = np.concatenate((np.ones((len(slots), 1)), band, place, surface), axis=1)
    offsets = np.full(rest.shape[1] - 1, OFFSET_SD)
    return band, rest, np.concatenate(([COMMON_SD], offsets, np.full(len(names), SLOPE_SD)))


def _turned(rest: Values, own: Values) -> Values:
    """Return `rest` and, behind it, the score by surface."""
    surface = rest[:, 1 + len(HISTORY_STARTS) + len(POSITION_STARTS) :]
    return np.concatenate((rest, surface * own), axis=1)


def _of_surface(z: Values, slots: Slots, here: Flags) -> tuple[float, float]:
    """Return (A, B) of A·z + B for one surface, near (1, 0) unless its slots say otherwise."""
    design = np.stack((z[here], np.ones(int(here.sum()))), axis=1)
    centre, deviations = np.array([1.0, 0.0]), np.array([SLOPE_SD, OFFSET_SD])
    slope, offset = _newton(design, slots.labels[here], deviations, centre)
    if slope > 0:
        return float(slope), float(offset)
    return 0.0, float(_newton(design[:, 1:], slots.labels[here], np.array([COMMON_SD]))[0])


def _straight(scores: Values) -> _Points | None:
    """Return the score in standard deviations from its mean; None if it has none."""
    middle, spread = float(scores.mean()), float(scores.std())
    return ((middle, middle + spread), (0.0, 1.0)) if spread > ROUNDING * max(1.0, abs(middle)) else None


def _bent(straight: _Points, slots: Slots) -> _Points:
    """Return a curve that never falls and bends at quantiles of the score, all segments held equal.

    Fitted as β·x + Σ γ·max(0, x − knot) beside the segments, so that a surface with high scores and few acts does not
    bend it; then the running maximum. Isotonic steps would need the same correction and overfit at the ends.
    """
    x = np.asarray((slots.scores - straight[0][0]) / (straight[0][1] - straight[0][0]))
    knots = np.unique(np.quantile(x, KNOTS))
    knots = knots[(knots > x.min()) & (knots < x.max())]
    _, rest, deviations = _segments(slots)
    design = np.concatenate((x[:, None], np.maximum(x[:, None] - knots, 0), _turned(rest, x[:, None])), axis=1)
    deviations = np.concatenate(([COMMON_SD], np.full(len(knots), BEND_SD), deviations))
    beta = _newton(design, slots.labels, deviations)
    points = np.concatenate(([x.min()], knots, [x.max()]))
    values = beta[0] * points + np.maximum(points[:, None] - knots, 0) @ beta[1 : 1 + len(knots)]
    risen = np.maximum.accumulate(values)
    scores = points * slots.scores.std() + slots.scores.mean()
    return tuple(scores.tolist()), tuple(risen.tolist())


def _newton(design: Values, labels: Flags, deviations: Values, centre: Values | None = None) -> Values:
    """Return β that maximises Σ log P(label) − Σ (β − centre)²/(2·deviations²), P = σ(design·β).

    The aim is strictly concave, so there is one answer; a step that does not better it is halved.
    """
    middle = np.zeros(design.shape[1]) if centre is None else centre
    precision = deviations**-2.0

    def aim(beta: Values) -> float:
        z = design @ beta
        fit = float((labels * z - np.logaddexp(0, z)).sum())
        return fit - 0.5 * float((precision * (beta - middle) ** 2).sum())

    beta, now = middle.copy(), aim(middle)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (labels - chance) - precision * (beta - middle)
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        while (then := aim(beta + step)) < now and float(np.abs(step).max()) >= _CONVERGED:
            step = step / 2
        if then < now:
            break
        beta, now = beta + step, then
        if float(np.abs(step).max()) < _CONVERGED:
            break
    return np.asarray(beta)
