"""`python -m infra.bench.learning.ours …`: what runs Beckon's own code, each call in a process of its own."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa

from beckon.learning.evaluation import Targets, leave_out
from beckon.learning.export import scorer_onnx
from beckon.learning.model import Model, describe, fit, scores
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import sequences_from
from infra.accuracy.accuracy import accuracy, events_in, tokens_in
from infra.bench.learning import reading
from infra.bench.learning.memory import peak_mib
from infra.demo.progress import Told

PARITY_TARGETS = 256
PARITY_ITEMS = 100
DAY_MS = 86_400_000
NOW = 1_700_000_000_000


def beckon(data: Path, items: Path | None, protocol: str) -> dict[str, Any]:
    """Return what `make accuracy` finds, with the exported scorer's size and its distance from the numpy scores."""
    found = accuracy(data, items, protocol, None, Told())
    tokens = {} if items is None else dict(tokens_in(items))
    sequences = sequences_from(events_in(data)[0], tokens, EVENT_WEIGHTS).of_people()
    recipe = Recipe.from_record(found["recipe"])
    known = reading.split(sequences, protocol)[0]
    content, cpu = describe(sequences.ids, tokens, recipe), time.process_time()
    model = fit(sequences.where(known), content, recipe)
    found["cpu_seconds_fitting"] = round(time.process_time() - cpu, 4)
    targets = leave_out(sequences, 0, recipe.history_length).weighed(recipe.event_weights)
    return found | export(model, targets)


def export(model: Model, targets: Targets) -> dict[str, Any]:
    """Return the size of scorer.onnx, seconds of writing it, and the largest |ONNX − numpy| of a top-100 score.

    Scores are 32-bit: the difference grows with their size, so its share of the largest score is told beside it.
    """
    began = time.perf_counter()
    content = scorer_onnx(model)
    seconds = time.perf_counter() - began
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    furthest = largest = 0.0
    step = max(1, min(32, (1 << 22) // max(1, len(model.ids))))
    some = targets.some(PARITY_TARGETS)
    for first in range(0, len(some), step):
        histories = some.histories.rows(first, first + step)
        wide = (len(histories.items), len(model.ids))
        dense = model.content.dense.shape[1]
        feed = {
            "history": histories.items,
            "weight": (histories.weights * model.recipe.recency ** np.arange(histories.items.shape[1])).astype("f4"),
            "need": np.zeros((wide[0], dense), dtype=np.float32),
            "allow": np.ones(wide, dtype=np.bool_),
            "extra": np.zeros((0, dense), dtype=np.float32),
            "k": np.array(PARITY_ITEMS, dtype=np.int64),
        }
        chosen, theirs = session.run(["items", "score"], feed)
        is_real = chosen >= 0
        ours = np.take_along_axis(scores(model, histories), np.maximum(chosen, 0), axis=1)
        furthest = max(furthest, float(np.abs(ours - theirs)[is_real].max(initial=0)))
        largest = max(largest, float(np.abs(theirs[is_real]).max(initial=0)))
    return {
        "export_mib": round(len(content) / 2**20, 3),
        "seconds_exporting": round(seconds, 3),
        "parity": furthest,
        "parity_of_largest_score": furthest / largest if largest else 0.0,
    }


def growth(events: int) -> dict[str, Any]:
    """Return seconds and peak MiB of fitting so many made-up events, and the size of what is exported.

    People of 20 events each, at most 200,000 items, taken by popularity ~ 1/rank and half the time near the last.
    """
    rng = np.random.default_rng(1)
    n_items = min(200_000, max(500, events // 50))
    users = np.repeat(np.arange(-(-events // 20)), 20)[:events]
    jumps = np.minimum((n_items ** rng.random(events)).astype(np.int64) - 1, n_items - 1)
    near = (np.roll(jumps, 1) + rng.integers(1, 20, events)) % n_items
    items = np.where(rng.random(events) < 0.5, jumps, near)  # noqa: PLR2004  half
    ts = NOW + (np.arange(events) % 20) * DAY_MS // 4
    table = pa.table({"user_key": _names("u", users), "ts": ts, "item": _names("i", items), "type": _views(events)})
    began = time.perf_counter()
    sequences = sequences_from(table, (), EVENT_WEIGHTS)
    del table
    reading_seconds, began = time.perf_counter() - began, time.perf_counter()
    recipe = Recipe()
    model = fit(sequences, describe(sequences.ids, {}, recipe), recipe)
    seconds, peak = time.perf_counter() - began, peak_mib()
    return {
        "events": events,
        "items": len(sequences.ids),
        "seconds_reading": round(reading_seconds, 3),
        "seconds_fitting": round(seconds, 3),
        "peak_mib": round(peak, 1),
        **export(model, leave_out(sequences, 0, recipe.history_length)),
    }


def _names(letter: str, numbers: Any) -> pa.Array:
    distinct, inverse = np.unique(numbers, return_inverse=True)
    names = pa.array([f"{letter}{one:08}" for one in distinct.tolist()], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(inverse.astype(np.int32)), names).cast(pa.string())


def _views(events: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(events, dtype=np.int32)), ["view"]).cast(pa.string())


def main() -> None:
    """Do what the command line says and write what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("beckon", "growth", "task", "shuffle", "attributes", "synthetic"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--protocol", default="leave-one-out")
    parser.add_argument("--events", type=int, default=0)
    asked = parser.parse_args()
    match asked.what:
        case "beckon":
            asked.out.write_text(json.dumps(beckon(asked.data, asked.items, asked.protocol)))
        case "growth":
            asked.out.write_text(json.dumps(growth(asked.events)))
        case "task":
            reading.task_of(asked.data, asked.items, asked.protocol).save(asked.out)
        case "shuffle":
            reading.shuffle_pairs(asked.data, asked.out)
        case "attributes":
            reading.attributes_in(asked.data, asked.out)
        case _:
            reading.synthetic(asked.out)


if __name__ == "__main__":
    main()
