"""What a training run needs besides the lake, the catalogue and the model store."""

from typing import Protocol


class Leases(Protocol):
    """One run a shop at a time. Times are UTC ms; faults of the store raise untouched."""

    def take(self, shop: str, owner: str, now: int, until: int) -> bool:
        """Return whether the owner has the lease until `until`: it was free, its own, or ended before `now`."""
        ...

    def release(self, shop: str, owner: str) -> None:
        """End the lease if it is the owner's."""
        ...


class Runs(Protocol):
    """Where a shop's run is started apart from this one."""

    def start(self, shop: str) -> None:
        """Ask for the shop to be trained; returns at once."""
        ...
