"""Where exposures and outcomes are kept."""

from collections.abc import Sequence
from typing import Protocol

from beckon.conversions.model import Exposure, Outcome


class Exposures(Protocol):
    """What was served. Faults of the store raise untouched."""

    def log(self, exposure: Exposure) -> None:
        """Keep the exposure; keeping it twice is keeping it once."""
        ...

    def window(self, shop: str, user_keys: Sequence[str], since: int, until: int) -> list[Exposure]:
        """Return what was served to any of `user_keys` from `since` to `until` (UTC ms, both included), oldest first.

        Strongly consistent: what was logged before is there.
        """
        ...


class Outcomes(Protocol):
    """What came of it, each once. Faults of the store raise untouched."""

    def record(self, outcome: Outcome, expires: int) -> bool:
        """Keep the outcome until `expires` (UTC ms) and count it; return False, changing nothing, if it is there.

        An outcome of an order is there if anybody's report of that order brought it.
        """
        ...
