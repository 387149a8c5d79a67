"""What ranking reads and writes, and the graph it asks. Faults raise untouched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beckon.catalog.ports import Change
from beckon.conversions.model import Exposure
from beckon.events.model import Event


class History(Protocol):
    """What one person did, as of now."""

    def recent(
        self, shop: str, user_key: str, *, types: frozenset[str], limit: int, since: int, now: int
    ) -> list[Event]:
        """Return the newest events of `types` that name an item, newest first, at most `limit`, each once.

        Strongly consistent: what was accepted before is there. Events before `since` or expired at `now` are not.
        """
        ...


class CatalogueChanges(Protocol):
    """The shop's catalogue change log."""

    def changes(self, shop: str, after_ts: int) -> Sequence[Change]:
        """Return the changes after `after_ts`, strongly consistent, oldest first."""
        ...


class ExposureLog(Protocol):
    """Where served lists are kept."""

    def log(self, exposure: Exposure) -> None:
        """Keep the exposure; twice is once."""
        ...


@dataclass(frozen=True, slots=True)
class Inputs:
    """One request to the graph.

    `history` [L] item indices, newest first, with `weight` [L]; `need` [D]; `allow` [N]; `extra` [C, D].
    """

    history: NDArray[np.int64]
    weight: NDArray[np.float32]
    need: NDArray[np.float32]
    allow: NDArray[np.bool_]
    extra: NDArray[np.float32]
    k: int


@dataclass(frozen=True, slots=True)
class Scores:
    """The best K, best first.

    `items` [K] indices, extras from N on; `score` [K]; `probability` [K], NaN until calibrated; `reasons` [K, L+2]: the
    part of each history item, of the need, of the prior.
    """

    items: NDArray[np.int64]
    score: NDArray[np.float32]
    probability: NDArray[np.float32]
    reasons: NDArray[np.float32]


class Scorer(Protocol):
    """scorer.onnx, for one request at a time."""

    def score(self, inputs: Inputs) -> Scores:
        """Return the eligible items of highest score; fewer than k where there are fewer, without padding."""
        ...
