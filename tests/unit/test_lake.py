"""The lake without S3: rows from the stream, poison put aside, days merged, corrupt objects survived."""

import dataclasses
import re
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beckon.conversions.model import Credit, Exposure, Outcome, Slot
from beckon.events.model import Event, Rejection
from beckon.lake.archive import Archive
from beckon.lake.compaction import LEAST_MS, Compaction
from beckon.lake.parquet import CorruptObject, decode, encode
from beckon.lake.reading import inventory, read_events, read_exposures, read_outcomes, read_rejected, shops
from beckon.lake.schema import DATASETS
from tests.ingest_fakes import MemoryLake, stream_record

RECEIVED = 1_767_323_045_678  # 2026-01-02
DAY = "lake/events/shop=acme/dt=2026-01-02"
A_LOT = 900_000


def event(n: int, **changes: Any) -> Event:
    known = {
        "shop": "acme",
        "message_id": f"m{n}",
        "type": "view",
        "user_key": f"u{n % 3}",
        "ts": RECEIVED - 100 * n,
        "original_ts": RECEIVED - 100 * n,
        "received_ts": RECEIVED,
        "item": f"i{n}",
        "value": n + 0.5,
        "properties": {"b": n, "a": "é"},
    }
    return Event(**known | changes)


def record(n: int, **changes: Any) -> dict[str, Any]:
    return stream_record(event(n, **changes), f"E#{n}", 100 + n)


def ids(table: pa.Table) -> list[str]:
    return table.column("message_id").to_pylist()


def lake_of(*batches: list[dict[str, Any]]) -> MemoryLake:
    lake = MemoryLake()
    for batch in batches:
        Archive(lake).take(batch)
    return lake


@pytest.mark.parametrize(
    ("dataset", "model", "inner"),
    [
        ("events", Event, {}),
        ("exposures", Exposure, {"slots": Slot}),
        ("outcomes", Outcome, {"credits": Credit}),
        ("rejected", Rejection, {}),
    ],
)
def test_every_field_of_a_record_has_its_column_and_no_column_is_without_field(dataset, model, inner) -> None:
    schema = DATASETS[dataset].schema
    assert set(schema.names) | {"shop"} == {one.name for one in dataclasses.fields(model)}
    for name, part in inner.items():
        assert {one.name for one in schema.field(name).type.value_type} == {
            one.name for one in dataclasses.fields(part)
        }


def test_a_batch_becomes_an_object_a_dataset_shop_and_day() -> None:
    served = Exposure("acme", "r1", "u1", "home", "model", "mod1", RECEIVED, (Slot("i1", 1, 0.5, 0.25),), variant="b")
    earned = Outcome(
        "acme",
        "u1",
        "m1",
        "i1",
        "purchase",
        86_400_000,
        12.5,
        "EUR",
        2,
        (Credit("r1", 1.0, "click", "home", "p", None),),
    )
    refused = Rejection("acme", "negative", "price", "p", "{}", "d1", RECEIVED, 3)
    lake = MemoryLake()
    done = Archive(lake).take(
        [
            record(1),
            stream_record(event(2, type="impression"), "V#2", 102),
            record(3, shop="bolt"),
            record(4, received_ts=RECEIVED + 86_400_000),
            stream_record(served, "X#1", 105),
            stream_record(earned, "O#1", 106),
            stream_record(refused, "R#1", 107),
            stream_record(event(9), "N#m9", 108),
            record(10) | {"eventName": "REMOVE"},
        ]
    )
    assert (done.rows, done.poison, done.ignored, done.objects) == (7, 0, 2, 6)
    assert [re.sub(r"-[0-9a-f]{8}\.parquet$", "", key) for key in lake.list("")] == [
        f"{DAY}/101-102",
        "lake/events/shop=acme/dt=2026-01-03/104-104",
        "lake/events/shop=bolt/dt=2026-01-02/103-103",
        "lake/exposures/shop=acme/dt=2026-01-02/105-105",
        "lake/outcomes/shop=acme/dt=2026-01-02/106-106",  # arrived today, of an event in 1970
        "lake/rejected/shop=acme/dt=2026-01-02/107-107",
    ]
    assert shops(lake) == ["acme", "bolt"]
    [row] = read_exposures(lake, "acme").to_pylist()
    assert Exposure.from_record(row | {"shop": "acme"}) == served
    [row] = read_outcomes(lake, "acme").to_pylist()
    assert Outcome.from_record(row | {"shop": "acme"}) == earned
    [row] = read_rejected(lake, "acme").to_pylist()
    assert Rejection.from_record(row | {"shop": "acme"}) == refused
    rows = [row | {"shop": "acme"} for row in read_events(lake, "acme").to_pylist()]
    found = [Event.from_record(row | {"properties": orjson.loads(row["properties"])}) for row in rows]
    assert sorted(found, key=lambda one: one.message_id) == [
        event(1),
        event(2, type="impression"),
        event(4, received_ts=RECEIVED + 86_400_000),
    ]


def test_a_delivery_of_some_rows_never_overwrites_one_of_all_of_them() -> None:
    batch = [record(n) for n in range(6)]
    lake = lake_of(batch, [batch[5], batch[2], batch[0]])
    assert len(read_events(lake, "acme")) == 6


def test_the_same_batch_gives_the_same_bytes_in_whatever_order_it_comes() -> None:
    batch = [record(n) for n in range(20)]
    once, again = lake_of(batch), lake_of(list(reversed(batch)) + batch[:5])
    assert once.objects == again.objects
    assert len(once.objects) == 1


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda r: r["dynamodb"]["NewImage"].pop("body"), "no body"),
        (lambda r: r["dynamodb"].pop("NewImage"), "no body"),
        (lambda r: r["dynamodb"]["NewImage"].update(body={"N": "1"}), "no body"),
        (lambda r: r["dynamodb"]["NewImage"].update(body={"S": "{"}), "not JSON"),
        (lambda r: r["dynamodb"]["NewImage"].update(body={"S": "[1]"}), "not an object"),
        (lambda r: body(r, shop="bolt"), "another shop"),
        (lambda r: body(r, ts="now"), "ts has the wrong type"),
        (lambda r: body(r, ts=True), "ts has the wrong type"),
        (lambda r: body(r, value="1"), "value has the wrong type"),
        (lambda r: body(r, item=7), "item has the wrong type"),
        (lambda r: body(r, message_id=None), "message_id is missing"),
        (lambda r: body(r, received_ts=2**62), "is no time"),
        (lambda r: body(r, properties="x"), "properties has the wrong type"),
    ],
)
def test_a_poison_record_is_kept_with_its_reason_and_costs_no_other(change, detail: str) -> None:
    poison = record(1)
    change(poison)
    lake = MemoryLake()
    done = Archive(lake).take([record(0), poison, record(2)])
    assert (done.rows, done.poison) == (2, 1)
    assert sorted(ids(read_events(lake, "acme"))) == ["m0", "m2"]
    [kept] = read_rejected(lake, "acme").to_pylist()
    assert kept["reason"] == "poison-record"
    assert detail in kept["detail"]


def test_a_poison_record_of_no_shop_is_kept_apart() -> None:
    poison = record(1)
    poison["dynamodb"]["Keys"]["PK"] = {"S": "../../etc#U#x"}
    lake = lake_of([poison, record(2)])
    assert sorted(key.split("/")[1:3] for key in lake.objects) == [
        ["events", "shop=acme"],
        ["rejected", "shop=_unknown"],
    ]


def test_records_that_are_hardly_records_do_not_stop_the_batch() -> None:
    lake = MemoryLake()
    done = Archive(lake).take([{}, {"dynamodb": None}, {"dynamodb": {"Keys": {"SK": {"S": "E#"}}}}, record(1)])
    assert (done.rows, done.poison, done.ignored) == (1, 1, 2)


def body(stored: dict[str, Any], **changes: Any) -> None:
    image = stored["dynamodb"]["NewImage"]
    image["body"] = {"S": orjson.dumps(orjson.loads(image["body"]["S"]) | changes).decode()}


# ── reading ──


def test_each_message_is_read_once_the_first_received_sorted_by_person_time_and_id() -> None:
    late, early = event(1, received_ts=RECEIVED + 9, item="late"), event(1, item="early")
    same_time = [event(n, user_key="u0", ts=5, message_id=f"s{n}") for n in (3, 1, 2)]
    lake = lake_of(
        [stream_record(late, "E#1", 1), *[stream_record(e, f"E#{e.message_id}", 10) for e in same_time]],
        [stream_record(early, "E#1", 2), record(4), record(5), record(7)],
    )
    found = read_events(lake, "acme")
    assert [(r["user_key"], r["message_id"]) for r in found.to_pylist()] == [
        ("u0", "s1"),
        ("u0", "s2"),
        ("u0", "s3"),
        ("u1", "m7"),
        ("u1", "m4"),
        ("u1", "m1"),
        ("u2", "m5"),
    ]
    assert found.filter(pa.compute.equal(found["message_id"], "m1"))["item"].to_pylist() == ["early"]
    assert found.schema.equals(DATASETS["events"].schema)


def test_columns_are_given_as_asked_and_unknown_ones_refused() -> None:
    lake = lake_of([record(1), record(2)])
    assert read_events(lake, "acme", ["item", "ts"]).to_pydict() == {
        "item": ["i1", "i2"],
        "ts": [RECEIVED - 100, RECEIVED - 200],
    }
    with pytest.raises(ValueError, match="colour"):
        read_events(lake, "acme", ["colour"])


def test_a_shop_without_events_reads_as_no_rows() -> None:
    assert read_events(MemoryLake(), "acme", ["item"]).to_pydict() == {"item": []}
    assert shops(MemoryLake()) == []


CORRUPT = {
    "empty": b"",
    "text": b"this is no parquet, whatever its name says",
    "cut short": encode(pa.Table.from_pylist([{"message_id": "x"}]), DATASETS["events"])[:-9],
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_object_is_left_out_and_reported(content: bytes) -> None:
    lake = lake_of([record(1)], [record(2)])
    lake.write(f"{DAY}/999-999.parquet", content)
    skipped: list[str] = []
    assert sorted(ids(read_events(lake, "acme", skipped=skipped))) == ["m1", "m2"]
    assert skipped == [f"{DAY}/999-999.parquet"]


def file_of(*rows: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return bytes(sink.getvalue())


ROW = {"message_id": "old", "type": "view", "user_key": "u9", "ts": 1, "received_ts": 2}


def test_files_of_other_versions_are_read_missing_columns_null_extra_ones_ignored() -> None:
    lake = lake_of([record(1)])
    lake.write(f"{DAY}/1-1.parquet", file_of(ROW | {"colour": "red", "value": 3}))
    [old] = [row for row in read_events(lake, "acme").to_pylist() if row["message_id"] == "old"]
    assert (old["value"], old["item"], "colour" in old) == (3.0, None, False)


@pytest.mark.parametrize("row", [{k: v for k, v in ROW.items() if k != "message_id"}, ROW | {"ts": "now"}])
def test_a_file_without_its_key_or_with_another_type_is_corrupt(row: dict[str, Any]) -> None:
    with pytest.raises(CorruptObject):
        decode(file_of(row), DATASETS["events"], DATASETS["events"].schema.names)


class MergedUnderneath(MemoryLake):
    """Loses an object to compaction between the first listing and its reading."""

    merged = False

    def read(self, key: str) -> bytes:
        if not self.merged:
            self.merged = True
            Compaction(self).run(lambda: A_LOT)
        return super().read(key)


def test_a_reader_whose_objects_are_merged_meanwhile_lists_again() -> None:
    lake = MergedUnderneath()
    for n in range(3):
        Archive(lake).take([record(n)])
    lake.merged = False
    assert sorted(ids(read_events(lake, "acme"))) == ["m0", "m1", "m2"]


# ── compaction ──


def test_a_day_becomes_one_sorted_object_each_message_once() -> None:
    lake = lake_of([record(n) for n in range(5)], [record(n) for n in range(3, 9)], [record(20)])
    before = read_events(lake, "acme")
    done = Compaction(lake).run(lambda: A_LOT)
    assert (done.partitions, done.files_before, done.files_after, done.rows, done.duplicates) == (1, 3, 1, 10, 2)
    [key] = lake.objects
    assert key.startswith(f"{DAY}/compact-")
    table = pq.ParquetFile(pa.BufferReader(lake.objects[key])).read()
    order = list(zip(*(table[name].to_pylist() for name in ("user_key", "ts", "message_id")), strict=True))
    assert order == sorted(order)
    assert len(order) == 10
    assert read_events(lake, "acme").equals(before)
    assert (done.bytes_after, 10) == (inventory(lake, "events", "acme").size, inventory(lake, "events", "acme").rows)


def test_a_second_run_finds_nothing_to_do_and_a_late_object_is_merged_in() -> None:
    lake = lake_of([record(1)], [record(2)])
    Compaction(lake).run(lambda: A_LOT)
    kept = dict(lake.objects)
    assert Compaction(lake).run(lambda: A_LOT).partitions == 0
    assert lake.objects == kept
    Archive(lake).take([record(1), record(3)])
    done = Compaction(lake).run(lambda: A_LOT)
    assert (done.rows, done.duplicates, len(lake.objects)) == (3, 1, 1)


def test_every_dataset_is_merged_by_its_own_key() -> None:
    def served(rec_id: str) -> Exposure:
        return Exposure("acme", rec_id, "u1", "home", "model", None, RECEIVED, (Slot("i1", 1, 0.5, 0.5),))

    def earned(kind: str) -> Outcome:
        return Outcome("acme", "u1", "m1", "i1", kind, RECEIVED, None, None, 1, ())

    lake = lake_of(
        [stream_record(served("r1"), "X#1", 1), stream_record(earned("cart"), "O#1", 2)],
        [stream_record(served("r1"), "X#1", 3), stream_record(earned("cart"), "O#1", 4)],
        [stream_record(served("r2"), "X#2", 5), stream_record(earned("purchase"), "O#2", 6)],
    )
    done = Compaction(lake).run(lambda: A_LOT)
    assert (done.partitions, done.rows, done.duplicates) == (2, 4, 2)
    assert read_exposures(lake, "acme", ["rec_id"]).to_pydict() == {"rec_id": ["r1", "r2"]}
    assert read_outcomes(lake, "acme", ["kind"]).to_pydict() == {"kind": ["cart", "purchase"]}


class Killed(Exception):
    pass


class DiesAfter(MemoryLake):
    """Is killed when it has changed the lake `left` times."""

    left = 10**6

    def spend(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1

    def write(self, key: str, content: bytes) -> None:
        self.spend()
        super().write(key, content)

    def delete(self, key: str) -> None:
        self.spend()
        super().delete(key)


@pytest.mark.parametrize("changes", range(7))
def test_a_run_killed_at_any_change_leaves_reading_right_and_the_next_run_ends_it(changes: int) -> None:
    lake = DiesAfter()
    for start in (0, 3, 5, 8):
        Archive(lake).take([record(n) for n in range(start, start + 4)])
    lake.write(f"{DAY}/77-77.parquet", b"corrupt")
    expected = read_events(lake, "acme")
    lake.left = changes
    with pytest.raises(Killed):
        Compaction(lake).run(lambda: A_LOT)
    lake.left = 10**6
    assert read_events(lake, "acme").equals(expected)
    Compaction(lake).run(lambda: A_LOT)
    assert read_events(lake, "acme").equals(expected)
    assert inventory(lake, "events", "acme").files == 1
    assert lake.read("lake/quarantine/events/shop=acme/dt=2026-01-02/77-77.parquet") == b"corrupt"


def test_a_corrupt_object_is_put_aside_and_the_run_goes_on() -> None:
    lake = lake_of([record(1)], [record(2, shop="bolt")])
    lake.write(f"{DAY}/5-5.parquet", b"PAR1 or not")
    lake.write("lake/events/shop=calm/dt=2026-01-02/6-6.parquet", b"")
    done = Compaction(lake).run(lambda: A_LOT)
    assert (done.quarantined, done.rows, done.left) == (2, 2, 0)
    assert [key.partition("quarantine/")[2] for key in lake.list("lake/quarantine/")] == [
        "events/shop=acme/dt=2026-01-02/5-5.parquet",
        "events/shop=calm/dt=2026-01-02/6-6.parquet",
    ]
    assert (ids(read_events(lake, "acme")), ids(read_events(lake, "bolt"))) == (["m1"], ["m2"])


def test_a_run_without_time_left_stops_between_days() -> None:
    lake = lake_of([record(1), record(2, received_ts=RECEIVED + 86_400_000)], [record(3, shop="bolt")])
    left = iter([A_LOT, LEAST_MS - 1, 0])
    done = Compaction(lake).run(lambda: next(left))
    assert (done.partitions, done.left) == (1, 2)
    assert len(lake.list("lake/events/")) == 3


def test_two_runs_at_once_leave_every_row() -> None:
    lake = lake_of([record(1)], [record(2)], [record(3)])

    class Second(MemoryLake):
        """Another run merges everything before this one reads."""

        def __init__(self) -> None:
            super().__init__()
            self.objects = lake.objects

        def read(self, key: str) -> bytes:
            Compaction(lake).run(lambda: A_LOT)
            return super().read(key)

    done = Compaction(Second()).run(lambda: A_LOT)
    assert done.left == 1
    assert sorted(ids(read_events(lake, "acme"))) == ["m1", "m2", "m3"]
