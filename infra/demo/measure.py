"""From what the table holds to what the demo reports: conversions by intention to treat, and the funnel of each arm."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from infra.demo.client import Failed
from infra.demo.experiment import Arm, Visit
from infra.demo.lift import Lift, lift

ARMS: tuple[Arm, ...] = ("control", "treatment")
_SHOPPER = re.compile(r"shopper-\d+")


@dataclass(frozen=True, slots=True)
class Funnel:
    """What an arm's shoppers were shown and did, over all of them; `liking` is the truth behind it."""

    users: int
    lists: int
    impressions: int
    clicks: int
    buyers: int
    liking: float


def shopper_of(source: str) -> str | None:
    """Return whose message or order an outcome comes from: the demo's ids say so."""
    found = _SHOPPER.search(source)
    return found.group() if found else None


def purchases(outcomes: Iterable[Mapping[str, Any]], visits: Sequence[Visit]) -> Counter[str]:
    """Return how often each assigned shopper bought after assignment, attributed to a list or not."""
    started = {visit.shopper: visit.started for visit in visits}
    bought: Counter[str] = Counter()
    for outcome in outcomes:
        shopper = shopper_of(outcome["source"])
        if outcome["kind"] == "purchase" and shopper in started and outcome["ts"] >= started[shopper]:
            bought[shopper] += 1
    return bought


def conversion(bought: Mapping[str, int], visits: Sequence[Visit]) -> Lift:
    """Return the lift in the share of assigned shoppers who bought.

    Raises:
        Failed: an arm has nobody, or nobody who bought.
    """
    values = {arm: [float(bought.get(v.shopper, 0) > 0) for v in visits if v.arm == arm] for arm in ARMS}
    try:
        return lift(values["control"], values["treatment"])
    except ValueError as fault:
        raise Failed(f"no lift can be measured: {fault}") from None


def funnels(bought: Mapping[str, int], visits: Sequence[Visit]) -> dict[str, dict[str, Any]]:
    """Return each arm's funnel."""
    return {arm: asdict(_funnel(bought, [visit for visit in visits if visit.arm == arm])) for arm in ARMS}


def _funnel(bought: Mapping[str, int], visits: Sequence[Visit]) -> Funnel:
    weights = [visit.impressions for visit in visits if visit.liked is not None]
    likings = [visit.liked for visit in visits if visit.liked is not None]
    return Funnel(
        users=len(visits),
        lists=sum(visit.lists for visit in visits),
        impressions=sum(visit.impressions for visit in visits),
        clicks=sum(visit.clicks for visit in visits),
        buyers=sum(bought.get(visit.shopper, 0) > 0 for visit in visits),
        liking=float(np.average(likings, weights=weights)),
    )
