"""What learning reads: each row once, in order, from compact and raw objects alike."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from beckon.lake.parquet import CorruptObject, decode, empty, needed, once
from beckon.lake.ports import LakeStore
from beckon.lake.schema import DATASETS, ROOT, Dataset, shop_of, shop_prefix

ATTEMPTS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inventory:
    """How much a dataset holds as stored: objects, rows (what is doubled counts double) and bytes."""

    files: int
    rows: int
    size: int


def shops(store: LakeStore) -> list[str]:
    """Return the shops that have events, sorted."""
    return sorted({shop for key in store.list(f"{ROOT}/events/") if (shop := shop_of(key)) is not None})


def read_events(
    store: LakeStore, shop: str, columns: Sequence[str] | None = None, skipped: list[str] | None = None
) -> pa.Table:
    """Return a shop's events, each message id once (the first received), sorted by user_key, ts, message_id.

    Only `columns` are decoded and returned, in the order asked. A corrupt object is left out, logged, and its key
    added to `skipped`.

    Raises:
        ValueError: a column that events do not have.
    """
    return _read(store, DATASETS["events"], shop, columns, skipped)


def read_exposures(
    store: LakeStore, shop: str, columns: Sequence[str] | None = None, skipped: list[str] | None = None
) -> pa.Table:
    """Return what a shop served, each rec_id once, sorted by user_key, ts, rec_id; `slots` are lists of structs."""
    return _read(store, DATASETS["exposures"], shop, columns, skipped)


def read_outcomes(
    store: LakeStore, shop: str, columns: Sequence[str] | None = None, skipped: list[str] | None = None
) -> pa.Table:
    """Return a shop's outcomes, each user × source × item × kind once, sorted by user_key and ts."""
    return _read(store, DATASETS["outcomes"], shop, columns, skipped)


def read_rejected(
    store: LakeStore, shop: str, columns: Sequence[str] | None = None, skipped: list[str] | None = None
) -> pa.Table:
    """Return what a shop sent that was no event, with the reason, in the order received."""
    return _read(store, DATASETS["rejected"], shop, columns, skipped)


def inventory(store: LakeStore, dataset: str, shop: str) -> Inventory:
    """Return how much a shop's dataset holds, read from the objects' footers; corrupt objects have no rows."""
    files = rows = size = 0
    for key in _objects(store, dataset, shop):
        content = store.read(key)
        files, size = files + 1, size + len(content)
        try:
            rows += pq.read_metadata(pa.BufferReader(content)).num_rows
        except (pa.ArrowException, OSError):
            log.warning("corrupt lake object %s", key)
    return Inventory(files, rows, size)


def _read(
    store: LakeStore, dataset: Dataset, shop: str, columns: Sequence[str] | None, skipped: list[str] | None
) -> pa.Table:
    names = needed(dataset, columns)
    for attempt in range(ATTEMPTS):
        try:
            tables, corrupt = _decoded(store, dataset, shop, names)
        except FileNotFoundError:  # compaction merged it between the listing and the read: list again
            if attempt == ATTEMPTS - 1:
                raise
            continue
        break
    if skipped is not None:
        skipped.extend(corrupt)
    table = once(pa.concat_tables([empty(dataset, names), *tables]), dataset)
    return table if columns is None else table.select(list(columns))


def _decoded(store: LakeStore, dataset: Dataset, shop: str, names: Sequence[str]) -> tuple[list[pa.Table], list[str]]:
    tables, corrupt = [], []
    for key in _objects(store, dataset.name, shop):
        try:
            tables.append(decode(store.read(key), dataset, names))
        except CorruptObject as fault:
            log.warning("corrupt lake object %s left out: %s", key, fault)
            corrupt.append(key)
    return tables, corrupt


def _objects(store: LakeStore, dataset: str, shop: str) -> list[str]:
    return [key for key in store.list(shop_prefix(dataset, shop)) if key.endswith(".parquet")]
