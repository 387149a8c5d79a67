"""What every baseline is given: events, who is to be foretold what, and attributes; one .npz file, numpy alone."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

type Longs = NDArray[np.int64]
type Bools = NDArray[np.bool_]
type Floats = NDArray[np.float32]

HISTORY = 50  # newest events of a history that a baseline may score from


@dataclass(frozen=True, slots=True)
class Task:
    """Next items to foretell.

    `users` ascending, each one's events oldest first; `items` [events] in 0..n_items−1. `tuned_on` and `fitted_on`
    [events]: what may be learnt from to foretell the events at `validation` and at `test` (places of events); a
    target's history is all of its user's events before it. `token_starts`, `tokens`: the attributes of item i are
    tokens[token_starts[i]:token_starts[i+1]]. `exclude_seen`: what the history has is not recommended.
    """

    users: Longs
    items: Longs
    tuned_on: Bools
    fitted_on: Bools
    validation: Longs
    test: Longs
    token_starts: Longs
    tokens: Longs
    exclude_seen: bool

    @property
    def n_items(self) -> int:
        """Return how many items there are, met or not."""
        return len(self.token_starts) - 1

    @property
    def n_users(self) -> int:
        """Return how many users there are."""
        return int(self.users[-1]) + 1 if len(self.users) else 0

    def firsts(self, places: Longs) -> Longs:
        """Return the place of the first event of each place's user."""
        return np.searchsorted(self.users, self.users[places])

    def histories(self, places: Longs, length: int = HISTORY) -> Longs:
        """Return the items before each place [places, length], newest first, −1 pads."""
        back = places[:, None] - 1 - np.arange(length)
        return np.where(back >= self.firsts(places)[:, None], self.items[np.maximum(back, 0)], -1)

    def popularity(self, mask: Bools) -> Floats:
        """Return how many people met each item [items] in the events of the mask."""
        pairs = np.unique(self.users[mask] * self.n_items + self.items[mask])
        return np.bincount(pairs % self.n_items, minlength=self.n_items).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the task."""
        arrays: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the task that `save` wrote."""
        with np.load(path) as found:
            arrays = {one.name: found[one.name] for one in fields(cls)}
        return cls(**arrays | {"exclude_seen": bool(arrays["exclude_seen"])})


def some(places: Longs, most: int) -> Longs:
    """Return at most `most` of the places, evenly spread."""
    return places if len(places) <= most else places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
