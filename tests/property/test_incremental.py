"""Whatever happens to a lake between two runs, a run that reads on gives what one that reads everything gives."""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.artefact.model import ITEMS, SCORER
from beckon.lake.compaction import Compaction
from beckon.lake.following import follow
from beckon.lake.parquet import CorruptObject, decode, encode
from beckon.lake.reading import read_events
from beckon.lake.schema import DATASETS, object_key, partition_of
from beckon.learning.gathering import COLUMNS
from beckon.learning.service import Retraining
from beckon.learning.state import STATE, load, save
from beckon.values import DAY_MS
from tests.ingest_fakes import MemoryLake
from tests.learning_shop import NOW, SHOP, CatalogueOf, MemoryLeases, item
from tests.ranking_shop import FakeModels

EVENTS = DATASETS["events"]
A_LOT = 900_000
PEOPLE = ("ann", "bob", "cat", "dan")

# Few ids, times and people, so that messages come twice, with other times and contents, and times tie.
events = st.builds(
    lambda n, person, item, ts, received, kind: {
        "message_id": f"m{n}",
        "type": kind,
        "user_key": person,
        "ts": NOW - DAY_MS + ts,
        "item": item,
        "received_ts": NOW + received,
        "rec_id": item and f"r{n % 2}",
    },
    st.integers(0, 25),
    st.sampled_from(PEOPLE),
    st.sampled_from([*"abcde", None]),
    st.integers(0, 6),
    st.integers(0, 3),
    st.sampled_from(["view", "view", "cart", "purchase", "search"]),
)
number = st.integers(0, 99)
happenings = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 4), st.lists(events, min_size=1, max_size=8)),
    st.tuples(st.just("arrive"), st.integers(1, 4), st.lists(events, min_size=1, max_size=8)),
    st.tuples(st.just("compact")),
    st.tuples(st.just("killed while compacting"), st.integers(0, 5)),
    st.tuples(st.just("expire")),
    st.tuples(st.just("lose"), number),
    st.tuples(st.just("erase"), st.sampled_from(PEOPLE), st.booleans()),
    st.tuples(st.just("corrupt"), number),
    st.tuples(st.just("deliver again"), number, st.integers(1, 4)),
    st.tuples(st.just("nothing")),
)


class Killed(BaseException):
    """The container is gone."""


class Lake(MemoryLake):
    """A lake that remembers what was read, and dies at a write or deletion if told so."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.left: int | None = None
        self.names = 0

    def read(self, key: str) -> bytes:
        self.opened.append(key)
        return super().read(key)

    def write(self, key: str, content: bytes) -> None:
        self._change()
        super().write(key, content)

    def delete(self, key: str) -> None:
        self._change()
        super().delete(key)

    def put(self, dt: int, rows: pa.Table) -> None:
        self.names += 1
        self.write(object_key("events", SHOP, f"2026-09-0{dt}", f"{self.names}-{self.names}"), encode(rows, EVENTS))

    def _change(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


def happen(lake: Lake, what: tuple[Any, ...]) -> None:  # noqa: C901 -- a list of what happens
    keys = lake.list("lake/events/")
    match what:
        case ("arrive", dt, rows):
            lake.put(dt, pa.Table.from_pylist(rows, schema=EVENTS.schema))
        case ("compact",):
            Compaction(lake).run(lambda: A_LOT)
        case ("killed while compacting", after):
            lake.left = after
            with suppress(Killed):
                Compaction(lake).run(lambda: A_LOT)
            lake.left = None
        case ("expire",) if keys:
            for key in [one for one in keys if partition_of(one) == partition_of(keys[0])]:
                lake.delete(key)
        case ("lose", n) if keys:
            lake.delete(keys[n % len(keys)])
        case ("erase", person, in_place):
            for key in keys:
                rewrite_without(lake, key, person, in_place=in_place)
        case ("corrupt", n) if keys:
            lake.write(keys[n % len(keys)], lake.read(keys[n % len(keys)])[: 20 + n])
        case ("deliver again", n, dt) if keys and (rows := rows_of(lake, keys[n % len(keys)])) is not None:
            lake.put(dt, rows)


def rows_of(lake: Lake, key: str) -> pa.Table | None:
    try:
        return decode(lake.read(key), EVENTS, EVENTS.schema.names)
    except CorruptObject:
        return None


def rewrite_without(lake: Lake, key: str, person: str, *, in_place: bool) -> None:
    rows = rows_of(lake, key)
    if rows is None or person not in rows.column("user_key").to_pylist():
        return
    kept = rows.filter(pa.array([one != person for one in rows.column("user_key").to_pylist()]))
    if in_place:
        lake.write(key, encode(kept, EVENTS))
    else:
        lake.put(int(partition_of(key)[-1]), kept)
        lake.delete(key)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(happenings, min_size=1, max_size=4), min_size=1, max_size=6))
def test_reading_on_gives_what_reading_everything_gives_and_opens_no_object_twice(nights) -> None:
    lake, models, newest = Lake(), FakeModels(), None
    before: dict[str, str] = {}
    for night in nights:
        for what in night:
            happen(lake, what)
        known = load(models, SHOP, newest, COLUMNS)
        lake.opened.clear()
        found = follow(lake, SHOP, COLUMNS, known.segments, known.corrupt)
        now = lake.versions("lake/events/")
        assert sorted(lake.opened) == sorted(key for key in now if before.get(key) != now[key])
        skipped: list[str] = []
        wanted = read_events(lake, SHOP, COLUMNS, skipped)
        assert found.events().equals(wanted)
        assert sorted(found.corrupt) == sorted(skipped)
        newest = SimpleNamespace(inputs={STATE: save(models, SHOP, found)})
        before = now


@settings(deadline=None, max_examples=150)
@given(st.lists(happenings, min_size=1, max_size=6), st.sampled_from(PEOPLE))
def test_nothing_of_an_erased_person_is_left_in_the_next_state(made, person) -> None:
    lake, models = Lake(), FakeModels()
    for what in made:
        happen(lake, what)
    first = save(models, SHOP, follow(lake, SHOP, COLUMNS))
    happen(lake, ("erase", person, True))
    known = load(models, SHOP, SimpleNamespace(inputs={STATE: first}), COLUMNS)
    second = save(models, SHOP, follow(lake, SHOP, COLUMNS, known.segments, known.corrupt))
    for segment in load(models, SHOP, SimpleNamespace(inputs={STATE: second}), COLUMNS).segments:
        assert person not in segment.rows.column("user_key").to_pylist()


@settings(deadline=None, max_examples=12)
@given(st.lists(st.lists(happenings, min_size=1, max_size=4), min_size=2, max_size=3))
def test_a_model_made_by_reading_on_is_a_full_retrains_to_the_byte(nights) -> None:
    lake, catalogue = Lake(), CatalogueOf([item("a", categories=("1",)), item("x", categories=("1", "2"))])
    reading_on, whole = (
        Retraining(lake, catalogue, FakeModels(), MemoryLeases(), lambda: ()) for _ in ("reading on", "whole")
    )
    for n, night in enumerate(nights):
        for what in night:
            happen(lake, what)
        for key in [one for one in whole.models.kept if one[1] == STATE]:
            del whole.models.kept[key]
        done = [one.retrain(SHOP, "run", NOW + n * DAY_MS, lambda: A_LOT, force=True) for one in (reading_on, whole)]
        assert done[0]["model_id"] == done[1]["model_id"]
        for name in (SCORER, ITEMS):
            ours, theirs = (one.models.read(SHOP, done[0]["model_id"], name) for one in (reading_on, whole))
            assert ours == theirs
