"""Many small objects a day to one: each row once, in order. Killed at any point, the next run ends the work."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from beckon.lake.parquet import CorruptObject, decode, empty, encode, once
from beckon.lake.ports import LakeStore
from beckon.lake.schema import COMPACT_PREFIX, DATASETS, QUARANTINE, ROOT, Dataset, is_compact, partition_of

LEAST_MS = 60_000  # what merging one more day may need
COMPACT_LEVEL = 9

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Compacted:
    """What a run did, of the days that needed it. `left`: days it had no time for, or that changed meanwhile."""

    partitions: int = 0
    files_before: int = 0
    files_after: int = 0
    rows: int = 0
    duplicates: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    quarantined: int = 0
    left: int = 0

    def to_answer(self) -> dict[str, Any]:
        """Return the run's summary as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Compaction:
    """Merges the lake's days, all shops and datasets."""

    store: LakeStore

    def run(self, remaining_ms: Callable[[], int]) -> Compacted:
        """Return what was merged; a day is only begun while `remaining_ms()` leaves a minute for it.

        Faults of the store raise; what is done stays done.
        """
        done = Compacted()
        for dataset in DATASETS.values():
            for partition, keys in _work(self.store.list(f"{ROOT}/{dataset.name}/")).items():
                if remaining_ms() < LEAST_MS:
                    done.left += 1
                    continue
                try:
                    self._merge(dataset, partition, keys, done)
                except FileNotFoundError:  # another run is merging this day
                    log.warning("%s changed while it was merged; left to the next run", partition)
                    done.left += 1
        return done

    def _merge(self, dataset: Dataset, partition: str, keys: list[str], done: Compacted) -> None:
        names = list(dataset.schema.names)
        tables, corrupt, size = [], {}, 0
        for key in keys:
            content = self.store.read(key)
            size += len(content)
            try:
                tables.append(decode(content, dataset, names))
            except CorruptObject as fault:
                log.warning("corrupt lake object %s put aside: %s", key, fault)
                corrupt[key] = content
        for key, content in corrupt.items():
            self.store.write(key.replace(ROOT, QUARANTINE, 1), content)
        merged = once(pa.concat_tables([empty(dataset, names), *tables]), dataset)
        result = f"{partition}/{COMPACT_PREFIX}{_name(keys)}.parquet"
        content = encode(merged, dataset, COMPACT_LEVEL) if len(merged) else b""
        if content:
            self.store.write(result, content)
        # Only now: until here every row is in the objects that were merged, from here in the result.
        for key in keys:
            self.store.delete(key)
        done.partitions += 1
        done.files_before += len(keys)
        done.files_after += bool(content)
        done.rows += len(merged)
        done.duplicates += sum(len(table) for table in tables) - len(merged)
        done.bytes_before += size
        done.bytes_after += len(content)
        done.quarantined += len(corrupt)


def _work(keys: Iterable[str]) -> dict[str, list[str]]:
    """Return the objects of each day that is not one compact object already."""
    days: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        if key.endswith(".parquet"):
            days[partition_of(key)].append(key)
    return {day: found for day, found in days.items() if len(found) > 1 or not is_compact(found[0])}


def _name(keys: list[str]) -> str:
    """Return a name that the same inputs always give, and that none of the inputs can have."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:32]
