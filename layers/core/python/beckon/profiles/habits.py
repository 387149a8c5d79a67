"""Recency, frequency and value; what was bought lately; and the languages a person reads in."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import fsum

from beckon.catalog.model import Item
from beckon.conversions.counters import NO_CURRENCY
from beckon.events.model import Event
from beckon.profiles.deeds import Deed, decay
from beckon.profiles.interests import shares
from beckon.profiles.model import Bought, Habits, Share, Spending
from beckon.values import DAY_MS

MOST_BOUGHT = 20
MOST_CURRENCIES = 10
MOST_LANGUAGES = 5

_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_].*)?", re.DOTALL)  # the first subtag of a locale (BCP 47, POSIX)


def habits(events: Iterable[Event], done: Sequence[Deed]) -> Habits:
    """Return how lately and how often: events of every type, each message once, and orders of at least one purchase."""
    seen = {event.message_id: event.ts for event in sorted(events, key=lambda event: -event.ts)}  # the earliest stays
    purchases = [deed for deed in done if deed.kind == "purchase"]
    times = [*seen.values(), *(deed.ts for deed in done)]
    return Habits(
        events=len(seen),
        days=len({ts // DAY_MS for ts in times}),
        orders=len({deed.source for deed in purchases}),
        first_seen=min(times, default=None),
        last_seen=max(times, default=None),
        last_purchase=max((deed.ts for deed in purchases), default=None),
    )


def value(done: Sequence[Deed]) -> tuple[Spending, ...]:
    """Return what was spent and what was refunded in each currency, to a millionth, the one most is net in first."""
    spent: dict[str, list[float]] = defaultdict(list)
    refunded: dict[str, list[float]] = defaultdict(list)
    for deed in done:
        if deed.money is not None and deed.kind in ("purchase", "refund"):
            (spent if deed.kind == "purchase" else refunded)[deed.currency or NO_CURRENCY].append(deed.money)
    found = [
        Spending(
            currency,
            round(fsum(spent[currency]), 6),
            round(fsum(refunded[currency]), 6),
            round(fsum([*spent[currency], *refunded[currency]]), 6),
        )
        for currency in sorted({*spent, *refunded})
    ]
    return tuple(sorted(found, key=lambda one: (-one.net, one.currency))[:MOST_CURRENCIES])


def bought(done: Sequence[Deed], items: Mapping[str, Item]) -> tuple[Bought, ...]:
    """Return the items bought and not sent back, the latest purchase first: pieces bought less pieces refunded > 0."""
    pieces: dict[str, int] = defaultdict(int)
    latest: dict[str, int] = {}
    for deed in done:
        if deed.kind == "purchase":
            pieces[deed.item] += deed.quantity
            latest[deed.item] = max(deed.ts, latest.get(deed.item, deed.ts))
        elif deed.kind == "refund":
            pieces[deed.item] -= deed.quantity
    kept = sorted((item for item in latest if pieces[item] > 0), key=lambda item: (-latest[item], item))
    return tuple(
        Bought(item, items[item].title if item in items else None, latest[item], pieces[item])
        for item in kept[:MOST_BOUGHT]
    )


def languages(events: Iterable[Event], now: int) -> tuple[Share, ...]:
    """Return the languages of the events' locales: share_l = Σ_e 2^(−age_e / half-life) · [l = language_e], over all.

    A locale counts once a UTC day, by the day's last event in it; `fr-CH` and `fr_FR` are both `fr`.
    """
    last: dict[tuple[int, str], int] = {}
    for event in events:
        found = None if event.locale is None else _LANGUAGE.fullmatch(event.locale)
        if found is not None:
            key = event.ts // DAY_MS, found[1].lower()
            last[key] = max(event.ts, last.get(key, event.ts))
    said: dict[str, list[float]] = defaultdict(list)
    for (_, language), ts in last.items():
        said[language].append(decay(ts, now))
    return shares(said, MOST_LANGUAGES)
