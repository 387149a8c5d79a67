"""Full-ranking accuracy of a model trained as retrain trains it, scored by the exported scorer.onnx."""

import csv
import math
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
from numpy.typing import NDArray

from beckon.catalog.model import Item
from beckon.events.takeback import UNDOES
from beckon.learning.coldstart import has_few_repeats, warmth
from beckon.learning.evaluation import MISSED, Targets, gains, last_item_ranks, leave_out, popularity_ranks, recalls
from beckon.learning.export import scorer_onnx
from beckon.learning.model import Model, describe, fit
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import sequences_from
from beckon.learning.training import Holdout, holdout, tuned
from infra.demo import rows
from infra.demo.progress import Told

PROTOCOLS = ("leave-one-out", "temporal")
PREDICTED = 20
AT_ONCE = 64
TUNING_SECONDS = 30  # no setting is tried after it, as retrain tries none when its time runs short


def accuracy(data: Path, items: Path | None, protocol: str, predictions: Path | None, told: Told) -> dict[str, Any]:
    """Return the metrics of `protocol`, seconds of tuning and of fitting, and peak MiB.

    leave-one-out: everybody's last event is the target and the second-last the validation target; neither is fitted
    on, and the validation event is part of the history that foretells the last. temporal: as retrain's own holdout.
    Targets need some history. Ties are ranked against us; R@k is the share of targets among the first k, N@k the mean
    of 1/log₂(rank + 1).

    Raises:
        BadFile: a file cannot be read.
    """
    with told.stage(f"reading {data}"):
        events, people = events_in(data)
        tokens = {} if items is None else dict(tokens_in(items))
    start = Recipe()
    sequences = sequences_from(events, tokens, EVENT_WEIGHTS).of_people()
    if protocol == "leave-one-out":
        targets = leave_out(sequences, 0, start.history_length)
        split = Holdout(protocol, sequences.where(sequences.from_end() > 1), targets)
    else:
        split = holdout(sequences, start.history_length)
    # What may be known before the targets: nothing of them decides anything.
    known = sequences.where(sequences.from_end() > 0) if protocol == "leave-one-out" else split.known
    exclude_seen = has_few_repeats(known)
    began = time.perf_counter()
    with told.stage(f"tuning on {len(sequences):,} events of {len(people):,} people and {len(sequences.ids):,} items"):
        content = describe(sequences.ids, tokens, start)
        recipe, trace = tuned(
            known,
            content,
            start,
            exclude_seen=exclude_seen,
            may_go_on=lambda: time.perf_counter() < began + TUNING_SECONDS,
        )
    tuning, began = time.perf_counter() - began, time.perf_counter()
    with told.stage("fitting"):
        model = fit(split.known, content, recipe)
    fitting = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before onnxruntime, which retrain does not have
    with told.stage(f"ranking for {len(split.targets):,} people with scorer.onnx"):
        targets = split.targets.weighed(recipe.event_weights)
        lists, ranks = _ranked(model, targets, exclude_seen=exclude_seen)
    if predictions is not None:
        owners = split.targets.events.users[split.targets.last].tolist()
        _write(predictions, lists, [people[owner] for owner in owners], sequences.ids)
    popular = popularity_ranks(split.known, split.targets, exclude_seen=exclude_seen)
    return {
        "protocol": split.protocol,
        "interactions": len(sequences),
        "users": len(people),
        "items": len(sequences.ids),
        "targets": len(split.targets),
        **_metrics(ranks),
        "repeat": _metrics(ranks[split.targets.is_repeat]),
        "new": _metrics(ranks[~split.targets.is_repeat]),
        "popularity": _metrics(popular),
        "last_item": _metrics(last_item_ranks(split.targets)),
        "cold_start": warmth(ranks, popular, split.targets, split.known),
        "ties": "against us",
        "exclude_seen": exclude_seen,
        "seconds_tuning": round(tuning, 3),
        "seconds_fitting": round(fitting, 3),
        "peak_mib": round(peak, 1),
        "recipe": recipe.to_record(),
        "trace": list(trace),
    }


def events_in(path: Path) -> tuple[pa.Table, list[str]]:
    """Return the file's events, sorted by person and time (equal times in the file's order), and the people."""
    form = rows.look(path).form
    found: list[tuple[str, int, int, str, str]] = []
    for number, row in enumerate(rows.read(path)):
        ts = rows.time_of(row["timestamp"], form)
        kind = row.get("event", "").strip().lower() or rows.DEFAULT_EVENT
        if ts is not None and row["user"].strip() and row["item"].strip() and (kind in EVENT_WEIGHTS or kind in UNDOES):
            found.append((row["user"].strip(), ts, number, row["item"].strip(), kind))
    found.sort()
    users, times, _, items, kinds = zip(*found, strict=True) if found else ((),) * 5
    table = pa.table(
        {
            "user_key": pa.array(users, pa.string()),
            "ts": pa.array(times, pa.int64()),
            "item": pa.array(items, pa.string()),
            "type": pa.array(kinds, pa.string()),
        }
    )
    return table, sorted(set(users))


def tokens_in(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each item of the file with its tokens."""
    for found in rows.items(path):
        categories = tuple(str(one) for one in found.get("categories") or ())
        price, currency = found.get("price"), found.get("currency")
        item = Item(
            "accuracy",
            found["id"],
            found["title"],
            0,
            categories=categories,
            attributes=found["attributes"],
            price=float(price) if isinstance(price, int | float) and 0 < price < math.inf else None,
            currency=currency if isinstance(currency, str) else None,
        )
        yield item.id, item.tokens()


def _ranked(model: Model, targets: Targets, *, exclude_seen: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first 20 items for each target [targets, 20], −1 pads, and the target's rank within them or MISSED.

    Among equal scores the target counts as the last, also if the list is cut within them.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(scorer_onnx(model), options, providers=["CPUExecutionProvider"])
    without_reasons = onnxruntime.RunOptions()
    without_reasons.only_execute_path_to_fetches = True
    lists = np.full((len(targets), PREDICTED), -1, dtype=np.int64)
    ranks = np.full(len(targets), MISSED, dtype=np.int64)
    n_items, dense = len(model.ids), model.content.dense.shape[1]
    recency = model.recipe.recency ** np.arange(targets.histories.items.shape[1])
    for first in range(0, len(targets), AT_ONCE):
        block = slice(first, min(first + AT_ONCE, len(targets)))
        histories = targets.histories.rows(block.start, block.stop)
        allow = np.ones((len(histories.items), n_items), dtype=np.bool_)
        if exclude_seen:
            for row, (begin, end) in enumerate(zip(targets.first[block], targets.last[block], strict=True)):
                allow[row, targets.events.items[begin:end]] = False
        feed = {
            "history": histories.items,
            "weight": (histories.weights * recency).astype(np.float32),
            "need": np.zeros((len(allow), dense), dtype=np.float32),
            "allow": allow,
            "extra": np.zeros((0, dense), dtype=np.float32),
            "k": np.array(PREDICTED, dtype=np.int64),
        }
        found, score = session.run(["items", "score"], feed, without_reasons)
        lists[block, : found.shape[1]] = found
        rows_hit, places = np.nonzero(found == targets.items[block, None])
        ranks[block.start + rows_hit] = np.sum(score[rows_hit] >= score[rows_hit, places][:, None], axis=1)
    return lists, ranks


def _metrics(ranks: NDArray[np.int64]) -> dict[str, Any]:
    found: dict[str, Any] = {"targets": len(ranks)}
    for k in (5, 10):
        found[f"recall_at_{k}"] = round(float(recalls(ranks, k).mean()), 5) if len(ranks) else None
        found[f"ndcg_at_{k}"] = round(float(gains(ranks, k).mean()), 5) if len(ranks) else None
    return found


def _write(path: Path, lists: NDArray[np.int64], people: list[str], ids: tuple[str, ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "rank", "item"))
        for person, found in zip(people, lists.tolist(), strict=True):
            writer.writerows((person, rank, ids[index]) for rank, index in enumerate(found, start=1) if index >= 0)
