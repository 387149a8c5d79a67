"""What a run is given: a shop's events and catalogue, and a hash that says whether they are new."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from beckon.artefact.model import Manifest
from beckon.artefact.ports import ModelStore
from beckon.catalog.model import Item
from beckon.catalog.ports import Catalogue
from beckon.lake.following import Followed, follow
from beckon.lake.ports import LakeStore
from beckon.lake.reading import read_exposures
from beckon.lake.schema import shop_prefix
from beckon.learning.causes import brought_about
from beckon.learning.recipe import EVENT_WEIGHTS
from beckon.learning.sequences import Sequences, sequences_from
from beckon.learning.slots import EXPOSURE_COLUMNS
from beckon.learning.state import STATE, Known, save
from beckon.values import SECOND_MS, iso

COLUMNS = ("user_key", "ts", "message_id", "type", "item", "rec_id", "order_id")
# What may come to be heard: customs have a say in training only where they help (`training.train`).
HEARD = {**EVENT_WEIGHTS, "custom": 1.0}
CATALOGUE_LAG_MS = 30 * SECOND_MS  # a change may appear so late


@dataclass(frozen=True, slots=True)
class Given:
    """Events, the items' tokens and parents, which items are off sale, and what the manifest says of it all.

    `exposures` are the lists that were served. `hash` covers events and catalogue; `users` counts people in the
    sequences.
    """

    events: pa.Table
    sequences: Sequences
    tokens: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, str]
    unavailable: frozenset[str]
    inputs: Mapping[str, Any]
    exposures: pa.Table
    followed: Followed | None = None

    def kept_for_the_next(self, models: ModelStore, shop: str) -> "Given":
        """Return the same without the rows as read: they are written down for the next run, and `inputs` say where."""
        if self.followed is None:
            return self
        return replace(self, followed=None, inputs={**self.inputs, STATE: save(models, shop, self.followed)})

    @property
    def hash(self) -> str:
        """Return the hash of events and catalogue."""
        return str(self.inputs["hash"])

    @property
    def users(self) -> int:
        """Return how many people did something with an item."""
        return int(self.inputs["users"])


def gather(
    lake: LakeStore, catalogue: Catalogue, shop: str, newest: Manifest | None, now: int, *, known: Known | None = None
) -> Given:
    """Return what a run at `now` (UTC ms) is given; `newest` is the shop's newest model, if there is one.

    `known` spares reading what an earlier run read, and makes no other difference.

    An item that was deleted may still have events. It stays in the model, as part of people's histories, and is off
    sale: by the change log since the newest model, and by what that model's manifest calls gone.
    """
    items = sorted(catalogue.all(shop), key=lambda item: item.id)
    on_sale = {item.id for item in items}
    since = 0 if newest is None else newest.inputs["catalogue_ts"] - CATALOGUE_LAG_MS
    changed = {change.item_id for change in catalogue.changes(shop, since)}
    gone = sorted((changed | set(newest.inputs["gone"] if newest else ())) - on_sale)
    had = known or Known()
    followed = follow(lake, shop, COLUMNS, had.segments, had.corrupt)
    events = followed.events()
    exposures = read_exposures(lake, shop, EXPOSURE_COLUMNS)
    sequences = sequences_from(events, on_sale, HEARD, brought_about(events, exposures))
    times = events.column("ts").to_numpy()
    inputs = {
        "from": iso(int(times.min())) if len(times) else None,
        "to": iso(int(times.max())) if len(times) else None,
        "rows": events.num_rows,
        "users": len(np.unique(sequences.users)),
        "events": len(sequences),
        "catalogue": len(items),
        "files": len(followed.listing),
        "files_opened": followed.opened,
        "rows_opened": followed.rows_opened,
        "skipped": sorted(followed.corrupt),
        "gone": gone,
        "listing": digest_of(followed.listing),
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
        exposures=exposures,
        followed=followed,
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


def _events_hash(events: pa.Table) -> str:
    """Return a hash of the rows, whatever objects they came from: compaction makes nothing new."""
    digest = hashlib.sha256()
    for name in COLUMNS:
        column = events.column(name)
        digest.update(np.packbits(column.is_valid().to_numpy()).tobytes())
        if column.type == pa.string():
            texts = pc.fill_null(column, "")
            digest.update(pc.binary_length(texts).to_numpy().tobytes())
            for chunk in texts.chunks:
                _, offsets, data = chunk.buffers()
                ends = np.frombuffer(offsets, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
                if data is not None and len(chunk):
                    digest.update(memoryview(data)[int(ends[0]) : int(ends[-1])])
        else:
            digest.update(pc.fill_null(column, 0).to_numpy().tobytes())
    return digest.hexdigest()


def _fingerprints(items: Iterable[Item]) -> Iterable[str]:
    """Yield what of each item makes a difference to a model."""
    for item in items:
        yield orjson.dumps([item.id, item.parent_id, item.available, item.tokens()]).decode()
