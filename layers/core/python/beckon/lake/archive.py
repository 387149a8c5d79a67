"""Batches of the table's stream to Parquet objects, one a dataset, shop and day."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from beckon.lake.parquet import encode, once
from beckon.lake.ports import LakeStore
from beckon.lake.rows import Placed, placed
from beckon.lake.schema import DATASETS, object_key


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of a batch: its records' rows, those that were no rows and were kept as rejections, objects."""

    rows: int
    poison: int
    ignored: int
    objects: int


@dataclass(frozen=True, slots=True)
class Archive:
    """Writes batches to the lake. The same batch gives the same objects byte for byte, in whatever order it comes."""

    store: LakeStore

    def take(self, records: Iterable[Mapping[str, Any]]) -> Archived:
        """Return what was written. Faults of the store raise: the batch is retried whole, and overwrites itself."""
        found = [placed(record) for record in records]
        rows = [one for one in found if one is not None]
        objects = objects_of(rows)
        for key, content in objects.items():
            self.store.write(key, content)
        poison = sum(one.is_poison for one in rows)
        return Archived(len(rows) - poison, poison, len(found) - len(rows), len(objects))


def objects_of(rows: Iterable[Placed]) -> dict[str, bytes]:
    """Return the objects that hold the rows, by key.

    A name is the rows' first and last sequence number and a hash of what they hold: a retry overwrites itself, and a
    delivery of some of the rows between the two never overwrites one of all of them.
    """
    groups: dict[tuple[str, str, str], list[Placed]] = defaultdict(list)
    for one in rows:
        groups[one.dataset, one.shop, one.dt].append(one)
    objects = {}
    for (name, shop, dt), group in sorted(groups.items()):
        dataset = DATASETS[name]
        content = encode(
            once(pa.Table.from_pylist([one.row for one in group], schema=dataset.schema), dataset), dataset
        )
        numbers = [one.sequence for one in group]
        held = hashlib.sha256(content).hexdigest()[:8]
        objects[object_key(name, shop, dt, f"{min(numbers)}-{max(numbers)}-{held}")] = content
    return objects
