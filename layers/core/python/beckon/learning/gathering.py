"""What a run is given: a shop's events and catalogue, and a hash that says whether they are new."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from beckon.artefact.model import Manifest
from beckon.catalog.model import Item
from beckon.catalog.ports import Catalogue
from beckon.lake.ports import LakeStore
from beckon.lake.reading import read_events
from beckon.lake.schema import shop_prefix
from beckon.learning.recipe import EVENT_WEIGHTS
from beckon.learning.sequences import Sequences, sequences_from
from beckon.values import SECOND_MS, iso

COLUMNS = ("user_key", "ts", "message_id", "type", "item", "rec_id")
CATALOGUE_LAG_MS = 30 * SECOND_MS  # a change may appear so late


@dataclass(frozen=True, slots=True)
class Given:
    """Events, the items' tokens and parents, which items are off sale, and what the manifest says of it all.

    `hash` covers everything that makes a difference to a model; `users` counts people in the sequences.
    """

    events: Any
    sequences: Sequences
    tokens: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, str]
    unavailable: frozenset[str]
    inputs: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """Return the hash of events and catalogue."""
        return str(self.inputs["hash"])

    @property
    def users(self) -> int:
        """Return how many people did something with an item."""
        return int(self.inputs["users"])


def gather(lake: LakeStore, catalogue: Catalogue, shop: str, newest: Manifest | None, now: int) -> Given:
    """Return what a run at `now` (UTC ms) is given; `newest` is the shop's newest model, if there is one.

    An item that was deleted may still have events. It stays in the model, as part of people's histories, and is off
    sale: by the change log since the newest model, and by what that model's manifest calls gone.
    """
    listing = listing_of(lake, shop)  # before reading, so that what arrives meanwhile is new next time
    items = sorted(catalogue.all(shop), key=lambda item: item.id)
    known = {item.id for item in items}
    since = 0 if newest is None else newest.inputs["catalogue_ts"] - CATALOGUE_LAG_MS
    changed = {change.item_id for change in catalogue.changes(shop, since)}
    gone = sorted((changed | set(newest.inputs["gone"] if newest else ())) - known)
    skipped: list[str] = []
    events = read_events(lake, shop, COLUMNS, skipped)
    sequences = sequences_from(events, known, EVENT_WEIGHTS)
    times = events.column("ts").to_numpy()
    inputs = {
        "from": iso(int(times.min())) if len(times) else None,
        "to": iso(int(times.max())) if len(times) else None,
        "rows": events.num_rows,
        "users": len(np.unique(sequences.users)),
        "events": len(sequences),
        "catalogue": len(items),
        "files": len(lake.list(shop_prefix("events", shop))),
        "skipped": skipped,
        "gone": gone,
        "listing": listing,
        "catalogue_ts": now,
        "hash": digest_of((_events_hash(events), *_fingerprints(items), *gone)),
    }
    return Given(
        events=events,
        sequences=sequences,
        tokens={item.id: item.tokens() for item in items},
        parents={item.id: item.parent_id for item in items if item.parent_id is not None},
        unavailable=frozenset(item.id for item in items if not item.available) | frozenset(gone),
        inputs=inputs,
    )


def listing_of(lake: LakeStore, shop: str) -> str:
    """Return a hash of the names of the shop's event objects: cheap to compare, and changed by every new one."""
    return digest_of(lake.list(shop_prefix("events", shop)))


def digest_of(texts: Iterable[str]) -> str:
    """Return the sha256 (hex) of texts, in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _events_hash(events: Any) -> str:
    """Return a hash of the rows, whatever objects they came from: compaction makes nothing new."""
    digest = hashlib.sha256()
    for batch in events.select(COLUMNS).to_batches(max_chunksize=1 << 16):
        digest.update(orjson.dumps(batch.to_pydict()))
    return digest.hexdigest()


def _fingerprints(items: Iterable[Item]) -> Iterable[str]:
    """Yield what of each item makes a difference to a model."""
    for item in items:
        yield orjson.dumps([item.id, item.parent_id, item.available, item.tokens()]).decode()
