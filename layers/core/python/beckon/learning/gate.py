"""Whether a model may serve: its probes, its ranking, and how broad its lists are beside the champion's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model must keep to. They are kept in the manifest beside what was found.

    `coverage`: distinct items of as many as the lists could show. Lists that are alike for all 200 people show 10 of
    up to 2,000 (0.5 %); personal ones showed 30 % and more in every shop tried, so 5 % tells them apart by far.
    `coverage_kept`: share of the champion's coverage; from night to night it moves by some per cent, not by half.
    `popularity_rise`: mean popularity of what is shown, in champions; turning from personal to popular lists multiplies
    it several times over, a night's news moves it by per cents.
    `lists`: with fewer people to ask, neither says anything, and nothing is refused for it.
    """

    coverage: float = 0.05
    coverage_kept: float = 0.5
    popularity_rise: float = 1.5
    lists: int = 30


def checks(
    *,
    probes: bool,
    ranking: bool,
    new: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
    is_popularity: bool,
    limits: Limits,
) -> list[dict[str, Any]]:
    """Return each check with what was found, its limit and whether it passed.

    `new` and `old` are the breadth of the model's and the champion's lists for the same people (None: not known).
    `is_popularity`: the holdout has shown that nothing foretells better than popularity, which is then served on
    purpose: narrow as it is, there is nothing to hold against it. A champion below the floor is no reason to keep it:
    who is as broad as it may follow it.
    """
    found = [_check("probes", probes, True, passed=probes), _check("ranking", ranking, True, passed=ranking)]
    if new is None or new["lists"] < limits.lists or is_popularity:
        return found
    floor = limits.coverage if old is None else min(limits.coverage, old["coverage"])
    found.append(_check("coverage", new["coverage"], floor, passed=new["coverage"] >= floor))
    if old is not None:
        kept = round(limits.coverage_kept * old["coverage"], 5)
        found.append(_check("coverage beside the champion", new["coverage"], kept, passed=new["coverage"] >= kept))
        most = round(limits.popularity_rise * old["popularity"], 4)
        found.append(_check("popularity bias", new["popularity"], most, passed=new["popularity"] <= most))
    return found


def _check(name: str, value: Any, limit: Any, *, passed: bool) -> dict[str, Any]:
    return {"check": name, "value": value, "limit": limit, "passed": passed}
