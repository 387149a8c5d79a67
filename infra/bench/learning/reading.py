"""Event files as baselines' tasks, and the files that a run makes for itself: synthetic, shuffled, attributes."""

import csv
import json
import random
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from beckon.learning.coldstart import has_few_repeats
from beckon.learning.evaluation import leave_out
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import Sequences, sequences_from
from beckon.learning.sparse import Bools
from beckon.learning.training import holdout
from infra.accuracy.accuracy import events_in, tokens_in
from infra.bench.learning.task import Longs, Task
from infra.demo import rows

SEED = 5


def task_of(data: Path, items: Path | None, protocol: str) -> Task:
    """Return the very targets of `make accuracy`, and what may be fitted on to foretell them.

    Raises:
        BadFile: a file cannot be read.
    """
    tokens = {} if items is None else dict(tokens_in(items))
    events, _ = events_in(data)
    sequences = sequences_from(events, tokens, EVENT_WEIGHTS).of_people()
    known, places = split(sequences, protocol)
    inner = sequences.where(known)
    validation = np.flatnonzero(known)[leave_out(inner, 0, 1).last]
    if protocol == "leave-one-out":  # as there, what is fitted on is the same for both targets
        validation, tuned_on = leave_out(sequences, 1, 1).last, known
    else:
        tuned_on = known.copy()
        tuned_on[np.flatnonzero(known)[inner.from_end() == 0]] = False
    names = sorted({token for found in tokens.values() for token in found})
    number = {name: place for place, name in enumerate(names)}
    described = [[number[token] for token in tokens.get(one, ())] for one in sequences.ids]
    return Task(
        sequences.users.astype(np.int64),
        sequences.items.astype(np.int64),
        tuned_on,
        known,
        validation.astype(np.int64),
        places,
        np.cumsum([0, *(len(found) for found in described)]).astype(np.int64),
        np.array([token for found in described for token in found], dtype=np.int64),
        has_few_repeats(sequences),
    )


def split(sequences: Sequences, protocol: str) -> tuple[Bools, Longs]:
    """Return which events may be fitted on, and the places of the targets."""
    length = Recipe().history_length
    if protocol == "leave-one-out":
        return sequences.from_end() > 1, leave_out(sequences, 0, length).last.astype(np.int64)
    held = holdout(sequences, length)
    is_temporal = held.protocol == "temporal"
    known = sequences.ts <= held.known.ts.max() if is_temporal else sequences.from_end() > 0
    if int(known.sum()) != len(held.known):
        raise ValueError(f"retrain's holdout fits on {len(held.known)} events, the baselines on {int(known.sum())}")
    return known, held.targets.last.astype(np.int64)


def shuffle_pairs(source: Path, out: Path) -> None:
    """Write the events of `source` with the order within adjacent pairs of each person's events left to chance.

    Where a person's pairs begin, at the first event or the second, is chance as well.
    """
    chance = random.Random(SEED)  # noqa: S311  a benchmark's draw
    form = rows.look(source).form
    found = sorted(
        (row["user"], rows.time_of(row["timestamp"], form) or 0, number, row["item"])
        for number, row in enumerate(rows.read(source))
    )
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "item", "timestamp"))
        for user, events in groupby(found, key=lambda row: row[0]):
            times, items = zip(*((ts, item) for _, ts, _, item in events), strict=True)
            mixed = list(items)
            for at in range(chance.randrange(2), len(mixed) - 1, 2):
                if chance.random() < 0.5:  # noqa: PLR2004  a fair coin
                    mixed[at], mixed[at + 1] = mixed[at + 1], mixed[at]
            writer.writerows((user, item, ts) for item, ts in zip(mixed, times, strict=True))


def attributes_in(source: Path, out: Path) -> None:
    """Write an items file from the category and brand that the rows of an event file name."""
    found: dict[str, list[str]] = {}
    for row in rows.read(source):
        category = row.get("category", "").split(".")
        steps = [".".join(category[: depth + 1]) for depth in range(len(category)) if category[depth]]
        found[row["item"]] = [*steps, *(f"brand {row['brand']}" for _ in range(bool(row.get("brand"))))]
    with out.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"item": one, "attributes": said}) + "\n" for one, said in sorted(found.items()))


def synthetic(folder: Path, people: int = 300, items: int = 60) -> tuple[Path, Path]:
    """Write a small shop's events and items: people mostly take the next of a ring, within its ten departments."""
    data, described = folder / "synthetic.csv", folder / "synthetic-items.jsonl"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "item", "timestamp"))
        writer.writerows(_walks(people, items))
    with described.open("w", encoding="utf-8") as file:
        file.writelines(
            json.dumps({"item": f"item-{n:03}", "attributes": [f"department {n * 10 // items}"]}) + "\n"
            for n in range(items)
        )
    return data, described


def _walks(people: int, items: int) -> Iterator[tuple[str, str, int]]:
    chance = random.Random(SEED)  # noqa: S311  a benchmark's draw
    for person in range(people):
        at = chance.randrange(items)
        met: set[int] = set()
        for step in range(chance.randint(4, 9)):
            if at not in met:
                yield f"p{person:04}", f"item-{at:03}", 1_400_000_000 + step * 86_400 + person
            met.add(at)
            at = (at + 1) % items if chance.random() < 0.6 else chance.randrange(items)  # noqa: PLR2004  mostly
