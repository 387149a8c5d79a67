"""What a shop's events are now, read on from what was read before: an object is opened once in its life.

Rows are kept by the object they came from, so nothing has to be known of why objects come and go: what is not in the
lake any more (merged by compaction, expired, rewritten without an erased person) takes its rows with it, and what is
new is read. Each message once, the first received, is decided afterwards, over what there is, as a full read does.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beckon.lake.parquet import CorruptObject, decode, empty, needed, once
from beckon.lake.ports import LakeStore
from beckon.lake.reading import ATTEMPTS
from beckon.lake.schema import DATASETS, shop_prefix

OBJECT = "object"
EVENTS = DATASETS["events"]

log = logging.getLogger(__name__)

type Version = tuple[str, str]  # an object's key and the store's version of its content


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of some objects as they were read; column `object` is a place in `objects`. `name`: where it is stored."""

    objects: tuple[Version, ...]
    rows: pa.Table
    name: str | None = None

    def only(self, kept: Sequence[bool]) -> "Segment":
        """Return the segment with some of its objects, and their rows."""
        before = accumulate(kept, initial=0)
        place = pa.array([n if one else None for n, one in zip(before, kept, strict=False)], pa.int32())
        places = pc.take(place, self.rows.column(OBJECT))
        rows = self.rows.set_column(self.rows.schema.get_field_index(OBJECT), OBJECT, places)
        return Segment(
            tuple(one for one, stays in zip(self.objects, kept, strict=True) if stays),
            rows.filter(pc.is_valid(places)),
        )


@dataclass(frozen=True, slots=True)
class Followed:
    """The lake as it is: `segments` hold every row of every object, `corrupt` the objects that are no Parquet.

    `listing` has the keys of all objects; `opened` says how many of them had to be read.
    """

    columns: tuple[str, ...]
    segments: tuple[Segment, ...]
    corrupt: Mapping[str, str]
    listing: tuple[str, ...]
    opened: int
    rows_opened: int

    def events(self) -> pa.Table:
        """Return the events as `read_events` does: each message id once, sorted by user_key, ts, message_id."""
        names = needed(EVENTS, self.columns)
        tables = [one.rows.select(names) for one in self.segments]
        return once(pa.concat_tables([empty(EVENTS, names), *tables]), EVENTS).select(list(self.columns))


def follow(
    store: LakeStore,
    shop: str,
    columns: Sequence[str],
    known: Sequence[Segment] = (),
    known_corrupt: Mapping[str, str] | None = None,
) -> Followed:
    """Return a shop's events as they are now, reading only the objects of which `known` has no rows.

    Segments that lost an object are written anew without its rows, so that nothing outlives the lake; small ones are
    merged into the new one, so that there are never more than the logarithm of the rows.
    """
    for attempt in range(ATTEMPTS):
        versions = store.versions(shop_prefix("events", shop))
        try:
            return _follow(store, versions, columns, known, known_corrupt or {})
        except FileNotFoundError:  # compaction merged it between the listing and the read: list again
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def encode_segment(segment: Segment) -> bytes:
    """Return a segment's rows as Parquet; the same rows give the same bytes."""
    deltas = [one for one in ("ts", "received_ts") if one in segment.rows.column_names]
    texts = [one.name for one in segment.rows.schema if one.type == pa.string() and one.name != "message_id"]
    sink = pa.BufferOutputStream()
    pq.write_table(
        segment.rows,
        sink,
        compression="zstd",
        use_dictionary=[*texts, OBJECT],
        column_encoding=dict.fromkeys(deltas, "DELTA_BINARY_PACKED") | {"message_id": "DELTA_LENGTH_BYTE_ARRAY"},
        data_page_version="2.0",
    )
    return bytes(sink.getvalue())


def decode_segment(content: bytes, objects: Sequence[Version], name: str, columns: Sequence[str]) -> Segment:
    """Return the segment whose rows `encode_segment` wrote.

    Raises:
        CorruptObject: the content is something else, or has other columns than `columns` need.
    """
    try:
        rows = pq.ParquetFile(pa.BufferReader(content)).read()
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise CorruptObject(f"segment {name} is not readable: {fault}") from None
    if not rows.schema.equals(_schema(columns)):
        raise CorruptObject(f"segment {name} has other columns than {', '.join(columns)} need")
    return Segment(tuple(objects), rows, name)


def _schema(columns: Sequence[str]) -> pa.Schema:
    return empty(EVENTS, needed(EVENTS, columns)).schema.append(pa.field(OBJECT, pa.int32()))


def _follow(
    store: LakeStore,
    versions: Mapping[str, str],
    columns: Sequence[str],
    known: Sequence[Segment],
    known_corrupt: Mapping[str, str],
) -> Followed:
    unread = {key: version for key, version in versions.items() if key.endswith(".parquet")}
    corrupt = {key: version for key, version in known_corrupt.items() if unread.get(key) == version}
    for key in corrupt:
        del unread[key]
    whole, parts = [], []
    for segment in known:
        lives = [unread.get(key) == version for key, version in segment.objects]
        for (key, _), is_there in zip(segment.objects, lives, strict=True):
            if is_there:
                del unread[key]
        if all(lives):
            whole.append(segment)
        elif any(lives):
            parts.append(segment.only(lives))
    read, broken = _opened(store, unread, needed(EVENTS, columns))
    parts += read
    whole.sort(key=lambda one: (-len(one.rows), one.name or ""))
    size = sum(len(one.rows) for one in parts)
    while parts and whole and len(whole[-1].rows) <= size:
        parts.append(whole.pop())
        size += len(parts[-1].rows)
    return Followed(
        columns=tuple(columns),
        segments=(*whole, *((_merged(parts, columns),) if parts else ())),
        corrupt={**corrupt, **broken},
        listing=tuple(sorted(versions)),
        opened=len(unread),
        rows_opened=sum(len(one.rows) for one in read),
    )


def _opened(
    store: LakeStore, unread: Mapping[str, str], names: Sequence[str]
) -> tuple[list[Segment], Mapping[str, str]]:
    """Return a segment of each object, and the objects that are corrupt."""
    segments, corrupt = [], {}
    for key, version in sorted(unread.items()):
        try:
            rows = decode(store.read(key), EVENTS, names)
        except CorruptObject as fault:
            log.warning("corrupt lake object %s left out: %s", key, fault)
            corrupt[key] = version
        else:
            places = pa.array([0], pa.int32()).take(pa.array([0] * len(rows), pa.int64()))
            segments.append(Segment(((key, version),), rows.append_column(OBJECT, places)))
    return segments, corrupt


def _merged(parts: Sequence[Segment], columns: Sequence[str]) -> Segment:
    """Return one segment of all parts, its objects sorted by key, its rows in the order of the dataset."""
    objects = tuple(sorted(one for part in parts for one in part.objects))
    place = {one: n for n, one in enumerate(objects)}
    tables = []
    for part in parts:
        places = pa.array([place[one] for one in part.objects], pa.int32()).take(part.rows.column(OBJECT))
        tables.append(part.rows.drop_columns([OBJECT]).append_column(OBJECT, places))
    rows = pa.concat_tables([_schema(columns).empty_table(), *(one.cast(_schema(columns)) for one in tables)])
    order = [(name, "ascending") for name in (*EVENTS.order, OBJECT)]
    return Segment(objects, rows.take(pc.sort_indices(rows, sort_keys=order)).combine_chunks())
