"""gather → decide: a person's newest events and outcomes, their items, and the profile they make."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from beckon.conversions.model import Outcome
from beckon.events.model import Event
from beckon.profiles.deeds import HALF_LIFE_MS, Deed, deeds, strengths
from beckon.profiles.habits import bought, habits, languages, value
from beckon.profiles.interests import categories, interests
from beckon.profiles.model import Profile
from beckon.profiles.ports import Behaviour, Items
from beckon.profiles.prices import price_bands

MOST_EVENTS = 2_000  # of one identity, the newest
MOST_OUTCOMES = 1_000  # of one identity
MOST_ITEMS = 500  # looked up in the catalogue
SAMPLE = 1_000  # items of the catalogue that say how common a tag is


@dataclass(frozen=True, slots=True)
class Profiles:
    """Makes profiles when they are asked for. `retention_ms`: how far back a history goes.

    The work is bounded however long the history: at most MOST_EVENTS + MOST_OUTCOMES rows an identity, MOST_ITEMS
    items and SAMPLE items more.
    """

    behaviour: Behaviour
    items: Items
    retention_ms: int

    def profile(self, shop: str, user_keys: Sequence[str], now: int) -> Profile:
        """Return the profile of the person known by `user_keys`; an empty one if nothing is kept of them."""
        events, outcomes, whole = self._gather(shop, user_keys, now)
        done = deeds(events, outcomes)
        said = strengths(done, now)
        wanted = _strongest(said)
        items = self.items.named(shop, wanted) if wanted else {}
        sample = self.items.page(shop, SAMPLE, None)[0] if items else ()
        return Profile(
            made=now,
            half_life_ms=HALF_LIFE_MS,
            habits=habits(events, done),
            value=value(done),
            interests=interests(said, items, sample),
            categories=categories(said, items),
            prices=price_bands(said, items, sample),
            languages=languages(events, now),
            bought=bought(done, items),
            whole=whole,
        )

    def _gather(self, shop: str, user_keys: Sequence[str], now: int) -> tuple[list[Event], list[Outcome], bool]:
        since = now - self.retention_ms
        keys = list(dict.fromkeys(user_keys))
        did = [self.behaviour.events(shop, key, limit=MOST_EVENTS, since=since, now=now) for key in keys]
        came = [self.behaviour.outcomes(shop, key, limit=MOST_OUTCOMES, since=since, now=now) for key in keys]
        return (
            [event for one in did for event in one.rows],
            [outcome for one in came for outcome in one.rows],
            all(one.whole for one in (*did, *came)),
        )


def _strongest(said: Sequence[tuple[Deed, float]]) -> list[str]:
    """Return the items that most was done about, at most MOST_ITEMS."""
    parts: dict[str, list[float]] = defaultdict(list)
    for deed, strength in said:
        parts[deed.item].append(abs(strength))
    return sorted(parts, key=lambda item: (-fsum(parts[item]), item))[:MOST_ITEMS]
