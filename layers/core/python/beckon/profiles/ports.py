"""Where a person's events and outcomes are, and the items they are of. Faults raise untouched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from beckon.catalog.model import Item
from beckon.conversions.model import Outcome
from beckon.events.model import Event


@dataclass(frozen=True, slots=True)
class Reading[Row]:
    """What was read, and whether that is all there is."""

    rows: Sequence[Row]
    whole: bool


class Behaviour(Protocol):
    """What one person did and what came of it, strongly consistent, in any order; an event may come twice.

    At most about `limit` rows are read however many there are; rows before `since` or expired at `now` are left out.
    """

    def events(self, shop: str, user_key: str, *, limit: int, since: int, now: int) -> Reading[Event]:
        """Return the newest events, impressions not among them."""
        ...

    def outcomes(self, shop: str, user_key: str, *, limit: int, since: int, now: int) -> Reading[Outcome]:
        """Return outcomes; which ones, where there are more than `limit`, is the store's choice."""
        ...


class Items(Protocol):
    """The shop's catalogue."""

    def named(self, shop: str, ids: Sequence[str]) -> Mapping[str, Item]:
        """Return those of the items that exist, by id."""
        ...

    def page(self, shop: str, limit: int, cursor: str | None) -> tuple[Sequence[Item], str | None]:
        """Return up to `limit` items in the store's own order, which says nothing about them."""
        ...
