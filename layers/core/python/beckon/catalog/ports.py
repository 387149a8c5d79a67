"""Where a shop's items are kept, and the log of their changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from beckon.catalog.model import Item


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an item at `ts` (UTC ms): its new state, or None when it was deleted."""

    item_id: str
    ts: int
    item: Item | None


class Catalogue(Protocol):
    """Items by shop. Faults of the store raise untouched; whatever was written is safe to write again."""

    def put(self, items: Sequence[Item]) -> int:
        """Keep the items; return how many are new or differ from what was kept. Others change nothing.

        An item's `updated` is raised, where need be, above that of its last change, whosever clock made that; of two
        items with one id the later one stands.
        """
        ...

    def get(self, shop: str, item_id: str) -> Item | None:
        """Return the item; None if there is none."""
        ...

    def delete(self, shop: str, item_id: str, now: int) -> bool:
        """Remove the item; return False, changing nothing, if there is none."""
        ...

    def page(self, shop: str, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:
        """Return up to `limit` items, in the store's own order, and the cursor of the next page, None at the end.

        Raises:
            Refused: the cursor is not one of this shop's.
        """
        ...

    def all(self, shop: str) -> Iterator[Item]:
        """Yield every item, in the store's own order."""
        ...

    def changes(self, shop: str, after_ts: int) -> list[Change]:
        """Return the changes after `after_ts` (UTC ms), oldest first, those just made included.

        A change bears its writer's clock from before the write, so one may appear up to a request's time (29 s) late:
        readers look again at the last half minute. Successive changes of an item bear rising times.
        """
        ...
