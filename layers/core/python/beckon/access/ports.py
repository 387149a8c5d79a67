"""Where shops and their keys are kept."""

from collections.abc import Sequence
from typing import Protocol

from beckon.access.model import StoredKey


class Keys(Protocol):
    """Shops and keys. Every write is whole or nothing; faults of the store raise untouched."""

    def find(self, key_id: str) -> StoredKey | None:
        """Return the key of that id; None if there is none. A key just made is found at once."""
        ...

    def create_shop(self, shop: str, created: int, keys: Sequence[StoredKey]) -> bool:
        """Keep a new shop with its first keys; return False, changing nothing, if the shop exists."""
        ...

    def add(self, key: StoredKey) -> bool:
        """Keep one more key of a shop; return False, changing nothing, if there is no such shop."""
        ...

    def revoke(self, shop: str, key_id: str) -> bool:
        """Forget a key of the shop; return False if it has no such key."""
        ...

    def listed(self, shop: str) -> list[StoredKey]:
        """Return the shop's keys, oldest first."""
        ...

    def shops(self) -> list[str]:
        """Return every shop, sorted."""
        ...
