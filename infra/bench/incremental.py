"""`make bench ONLY=incremental`: what a retrain costs by how many events are new, and by how many there are.

A simulated shop's lake of n events, compacted by day, then one more day of raw objects. Measured apart: reading the
lake whole, reading on from a state, and what is read and written. Both ways must give the same rows.
"""

import argparse
import gc
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from beckon.lake.following import follow
from beckon.lake.parquet import encode, once
from beckon.lake.schema import DATASETS, object_key
from beckon.learning.counts import directed_counts
from beckon.learning.gathering import COLUMNS
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import Sequences, sequences_from
from beckon.learning.state import STATE, load, save
from beckon.values import DAY_MS, day
from infra.demo.inside import MemoryLake, MemoryModels

OUT = Path("build/bench/incremental.json")
EVENTS = DATASETS["events"]
SHOP = "bench"
NOW = 1_790_000_000_000
DAYS = 100
SIZES = (100_000, 300_000, 1_000_000)
NEW = (1_000, 10_000, 100_000)
REPEATS = 3


class Metered:
    """A store that counts the objects and bytes that pass."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.read_objects = self.read_bytes = self.written_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, *place: str) -> bytes:
        """Return an object, counted."""
        content: bytes = self._store.read(*place)
        self.read_objects += 1
        self.read_bytes += len(content)
        return content

    def write(self, *place: Any) -> None:
        """Put an object, counted."""
        self.written_bytes += len(place[-1])
        self._store.write(*place)


def events_of(rows: int, first_day: int, days: int, generator: np.random.Generator) -> list[pa.Table]:
    """Return a table a day of events: people by a power law, items by another, random ids as trackers make them."""
    people, items = max(10, rows // 12), max(10, rows // 50)
    tables = []
    for n in range(days):
        count = rows // days
        person = (people * generator.random(count) ** 2).astype(np.int64)
        item = (items * generator.random(count) ** 3).astype(np.int64)
        ts = NOW + (first_day + n) * DAY_MS + np.sort(generator.integers(0, DAY_MS, count))
        ids = generator.integers(0, 2**63, (count, 2))
        kinds = np.array(["view", "view", "view", "cart", "purchase"])[generator.integers(0, 5, count)]
        known = {
            "message_id": [f"{a:016x}-{b:016x}" for a, b in ids.tolist()],
            "type": kinds.tolist(),
            "user_key": [f"{one * 2654435761 % 2**64:032x}" for one in person.tolist()],
            "ts": ts,
            "received_ts": ts + 500,
            "item": [f"item-{one}" for one in item.tolist()],
        }
        columns = [
            pa.array(known[field.name], field.type) if field.name in known else pa.nulls(count, field.type)
            for field in EVENTS.schema
        ]
        tables.append(pa.Table.from_arrays(columns, schema=EVENTS.schema))
    return tables


def lake_of(rows: int, generator: np.random.Generator) -> MemoryLake:
    """Return a compacted lake of so many events."""
    lake = MemoryLake({})
    for n, table in enumerate(events_of(rows, -DAYS, DAYS, generator)):
        key = object_key("events", SHOP, day(NOW + (n - DAYS) * DAY_MS), f"compact-{n:032x}")
        lake.write(key, encode(once(table, EVENTS), EVENTS, 9))
    return lake


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of CPU, all threads', that `work` took, and what it returned: others' load adds little."""
    gc.collect()
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def measure(rows: int, news: Sequence[int], repeats: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Return a row for each number of new events over a lake of `rows`."""
    lake: Any = Metered(lake_of(rows, generator))
    models: Any = Metered(MemoryModels())
    first: Any = SimpleNamespace(inputs={STATE: save(models, SHOP, follow(lake, SHOP, COLUMNS))})
    state_bytes = models.written_bytes
    found = []
    for new in news:
        names = []
        for n, table in enumerate(events_of(new, 0, 20, generator)):  # a day's objects, not yet compacted
            names.append(object_key("events", SHOP, day(NOW), f"{n}-{n}"))
            lake.write(names[-1], encode(table, EVENTS))
        rounds = [_round(lake, models, first) for _ in range(repeats)]
        best = {name: min(one[name] for one in rounds) for name in rounds[0]}
        found.append({"events": rows, "new": new, "lake_bytes": lake_bytes(lake), "state_bytes": state_bytes} | best)
        print(json.dumps(found[-1]), flush=True)
        for name in names:
            lake.delete(name)
    return found


def _round(lake: Any, models: Any, first: Any) -> dict[str, Any]:
    lake.read_objects = lake.read_bytes = 0
    whole, everything = timed(lambda: follow(lake, SHOP, COLUMNS))
    whole_sort, wanted = timed(everything.events)
    whole_read = lake.read_bytes
    del everything
    lake.read_objects = lake.read_bytes = models.read_bytes = models.written_bytes = 0
    loading, known = timed(lambda: load(models, SHOP, first, COLUMNS))
    following, followed = timed(lambda: follow(lake, SHOP, COLUMNS, known.segments, known.corrupt))
    sorting, table = timed(followed.events)
    saving, _ = timed(lambda: save(models, SHOP, followed))
    if not table.equals(wanted):
        raise AssertionError("reading on gave other rows than reading everything")
    return {
        "whole_seconds": whole,
        "whole_sort_seconds": whole_sort,
        "whole_lake_bytes": whole_read,
        "load_state_seconds": loading,
        "follow_seconds": following,
        "sort_seconds": sorting,
        "save_seconds": saving,
        "lake_bytes_read": lake.read_bytes,
        "lake_objects_read": lake.read_objects,
        "state_bytes_read": models.read_bytes,
        "state_bytes_written": models.written_bytes,
    }


def lake_bytes(lake: Any) -> int:
    """Return how much the lake holds."""
    return sum(len(lake._store.read(key)) for key in lake.list("lake/"))  # noqa: SLF001 -- not counted


def count_state(rows: int, generator: np.random.Generator) -> dict[str, Any]:
    """Return how large a state of counts would be beside one of rows, and how long counting takes.

    Exact for every recipe, it would hold for each ordered pair of items and each lag how many people met it so.
    """
    table = pa.concat_tables(events_of(rows, -DAYS, DAYS, generator))
    sequences = sequences_from(once(table, EVENTS).select(list(COLUMNS)), (), EVENT_WEIGHTS)
    recipe = Recipe()
    seconds, (cells, _) = timed(lambda: directed_counts(sequences.users, sequences.items, len(sequences.ids), recipe))
    return {"events": rows, "count_seconds": round(seconds, 3), "pairs": len(cells), "by_lag": lag_cells(sequences)}


def lag_cells(sequences: Sequences, lags: int = 20) -> int:
    """Return how many (item, item, lag) there are within so many lags, repetitions in one person counted once."""
    total, size = 0, len(sequences.ids)
    for lag in range(1, lags + 1):
        near = np.flatnonzero(sequences.users[lag:] == sequences.users[:-lag])
        first, second = sequences.items[near].astype(np.int64), sequences.items[near + lag]
        total += len(np.unique(first * size + second))
    return total


def exponent(rows: Sequence[dict[str, Any]], by: str, of: str) -> float:
    """Return b of the least-squares fit `of` = a·`by`^b in logarithms."""
    x, y = (np.log([max(1e-9, row[name]) for row in rows]) for name in (by, of))
    return round(float(np.polyfit(x, y, 1)[0]), 3)


def exponents(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return how each cost grows: with new events over the largest lake, and with the lake for the fewest new."""
    largest, fewest = max(row["events"] for row in rows), min(row["new"] for row in rows)
    by_new = [row for row in rows if row["events"] == largest]
    by_all = [row for row in rows if row["new"] == fewest]
    return {
        "lake_bytes_read_by_new": exponent(by_new, "new", "lake_bytes_read"),
        "follow_seconds_by_new": exponent(by_new, "new", "follow_seconds"),
        "state_bytes_written_by_new": exponent(by_new, "new", "state_bytes_written"),
        "lake_bytes_read_by_events": exponent(by_all, "events", "lake_bytes_read"),
        "follow_seconds_by_events": exponent(by_all, "events", "follow_seconds"),
        "load_state_seconds_by_events": exponent(by_all, "events", "load_state_seconds"),
        "sort_seconds_by_events": exponent(by_all, "events", "sort_seconds"),
        "whole_seconds_by_events": exponent(by_all, "events", "whole_seconds"),
    }


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return what reading on takes of what reading everything takes, over the largest lake with the fewest new."""
    row = min(rows, key=lambda one: (-one["events"], one["new"]))
    on = row["load_state_seconds"] + row["follow_seconds"]
    return {
        "seconds": round(on / row["whole_seconds"], 4),
        "lake_bytes": round(row["lake_bytes_read"] / row["whole_lake_bytes"], 4),
        "bytes_with_state": round((row["lake_bytes_read"] + row["state_bytes_read"]) / row["whole_lake_bytes"], 4),
        "state_bytes_an_event": round(row["state_bytes"] / row["events"], 1),
    }


def plot(rows: Sequence[dict[str, Any]]) -> str:
    """Return an SVG, both axes in logarithms: CPU seconds to read everything and to read on, by events in the lake."""
    fewest = min(row["new"] for row in rows)
    some = [row for row in rows if row["new"] == fewest]
    lines = {
        "read everything": [row["whole_seconds"] for row in some],
        "load the state": [row["load_state_seconds"] for row in some],
        f"read {fewest} new events": [row["follow_seconds"] for row in some],
    }
    colours = ("#b3261e", "#1a5fb4", "#26734d")
    x = np.log10([row["events"] for row in some])
    y = np.log10(np.maximum(1e-4, list(lines.values())))
    width = max(float(x.max() - x.min()), 1e-9)
    high, low = float(np.ceil(y.max())), float(np.floor(y.min()))
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360" font-family="sans-serif" font-size="13">']
    for power in range(int(low), int(high) + 1):
        at = 320 - 280 * (power - low) / max(high - low, 1)
        parts.append(f'<path d="M60 {at:.0f}H620" stroke="#ddd"/><text x="4" y="{at + 4:.0f}">{10.0**power:g} s</text>')
    for row, place in zip(some, x, strict=True):
        parts.append(f'<text x="{60 + 480 * (place - x.min()) / width:.0f}" y="345">{row["events"]:,}</text>')
    for (name, _), values, colour in zip(lines.items(), y, colours, strict=True):
        across = 60 + 480 * (x - x.min()) / width
        points = " ".join(
            f"{a:.0f},{320 - 280 * (b - low) / max(high - low, 1):.0f}" for a, b in zip(across, values, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = points.rpartition(" ")[2].split(",")
        parts.append(f'<text x="{float(label[0]) - 130}" y="{float(label[1]) - 8}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every size and write the report."""
    parser = argparse.ArgumentParser(prog="make bench ONLY=incremental", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="events in the lake")
    parser.add_argument("--new", type=int, nargs="+", default=NEW, help="events since the last run")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    rows = [
        row for size in chosen.sizes for row in measure(size, chosen.new, chosen.repeats, np.random.default_rng(size))
    ]
    report = {
        "rows": rows,
        "counts": [count_state(size, np.random.default_rng(size)) for size in chosen.sizes],
        "exponents": exponents(rows),
        "ratios": ratios(rows),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    for row in rows:
        row.update({name: round(value, 4) for name, value in row.items() if isinstance(value, float)})
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    chosen.out.with_suffix(".svg").write_text(plot(rows))
    print(json.dumps({name: report[name] for name in ("counts", "exponents", "ratios", "peak_mib")}, indent=1))


if __name__ == "__main__":
    main()
