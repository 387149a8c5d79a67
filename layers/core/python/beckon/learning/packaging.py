"""From a fitted model to the files of an artefact, with probes answered by ONNX's reference evaluator."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import orjson
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from beckon.artefact.model import Chances, ItemTable, Probe, Serving
from beckon.artefact.probes import Run, score_or_none
from beckon.learning.chances import POSITION_STARTS
from beckon.learning.model import Histories, Model, scores

PROBE_K = 10
PARITY = 1e-5


class ExportFault(RuntimeError):
    """The exported graph does not score as the model does; it must not be kept."""


def serving_of(model: Model, *, exclude_seen: bool) -> Serving:
    """Return what a caller of the model's scorer.onnx must know."""
    found = model.calibration
    return Serving(
        history_length=model.recipe.history_length,
        recency=model.recipe.recency,
        event_weights=dict(sorted(model.recipe.event_weights.items())),
        dense=model.content.dense.shape[1],
        exclude_seen=exclude_seen,
        chances=None if found is None else Chances(found.surfaces, POSITION_STARTS, found.positions),
    )


def item_table(model: Model, parents: Mapping[str, str], unavailable: Collection[str], catalogue_ts: int) -> bytes:
    """Return items.json: the items in index order, and how to place newer ones in the dense space."""
    off_sale = set(unavailable)
    table = ItemTable(
        ids=model.ids,
        parents=tuple(parents.get(one, one) for one in model.ids),
        vocabulary=dict(zip(model.content.vocabulary, model.content.idf.tolist(), strict=True)),
        directions=model.content.directions.tolist(),
        unavailable=tuple(index for index, one in enumerate(model.ids) if one in off_sale),
        catalogue_ts=catalogue_ts,
    )
    return orjson.dumps(table.to_record(), option=orjson.OPT_NON_STR_KEYS)


def reference_run(scorer: bytes) -> Run:
    """Return a runner of the graph on ONNX's own evaluator, which needs numpy alone."""
    evaluator = ReferenceEvaluator(onnx.load_model_from_string(scorer))

    def run(inputs: Mapping[str, Any]) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[float]]]:
        found: Any = evaluator.run(["items", "score"], graph_inputs(inputs))
        return found[0].tolist(), found[1].tolist()

    return run


def graph_inputs(inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return a probe's nested lists as the graph's inputs."""
    dense = len(inputs["need"][0])
    return {
        "history": np.array(inputs["history"], dtype=np.int64),
        "weight": np.array(inputs["weight"], dtype=np.float32),
        "need": np.array(inputs["need"], dtype=np.float32),
        "allow": np.array(inputs["allow"], dtype=np.bool_),
        "extra": np.array(inputs["extra"], dtype=np.float32).reshape(-1, dense),
        "k": np.array(inputs["k"], dtype=np.int64),
    }


def probes_of(model: Model, scorer: bytes) -> tuple[Probe, ...]:
    """Return two probes, answered by the reference evaluator: a stranger; a history with need, filter and new item.

    Raises:
        ExportFault: the graph's scores differ from the model's own.
    """
    run = reference_run(scorer)
    return tuple(_answered(run, model, inputs) for inputs in (_stranger(model), _visitor(model)))


def _stranger(model: Model) -> dict[str, Any]:
    dense = model.content.dense.shape[1]
    return {
        "history": [[-1]],
        "weight": [[0.0]],
        "need": [[0.0] * dense],
        "allow": [[1] * len(model.ids)],
        "extra": [],
        "k": PROBE_K,
    }


def _visitor(model: Model) -> dict[str, Any]:
    """Three items of the longest rows, padded, and every third item filtered out."""
    n_items, dense = len(model.ids), model.content.dense.shape[1]
    size = model.rows.lengths + model.content.rows.lengths
    history = np.argsort(-size, kind="stable")[:3].tolist()
    pads = 4 - len(history)
    return {
        "history": [history + [-1] * pads],
        "weight": [[model.recipe.recency**place for place in range(len(history))] + [0.0] * pads],
        "need": [[round(0.1 / (1 + place), 5) for place in range(dense)]],
        "allow": [[int(index % 3 != 1) for index in range(n_items)]],
        "extra": [[round(0.2 / (1 + place), 5) for place in range(dense)]],
        "k": PROBE_K,
    }


def _answered(run: Run, model: Model, inputs: Mapping[str, Any]) -> Probe:
    items, score = run(inputs)
    _hold_to_the_model(model, inputs, items[0], score[0])
    return Probe(inputs, [list(row) for row in items], [[score_or_none(one) for one in row] for row in score])


def _hold_to_the_model(model: Model, inputs: Mapping[str, Any], items: Sequence[int], found: Sequence[float]) -> None:
    """Raise unless every item of the model got the model's score, and the best allowed ones are there."""
    weight = np.array(inputs["weight"], dtype=np.float32)
    undone = weight / model.recipe.recency ** np.arange(weight.shape[1])  # the model applies recency itself
    histories = Histories(np.array(inputs["history"], dtype=np.int64), undone.astype(np.float32))
    own = scores(model, histories, np.array(inputs["need"]))[0]
    tolerance = PARITY * max(1.0, float(np.abs(own).max()))
    warm = [(item, score) for item, score in zip(items, found, strict=True) if 0 <= item < len(own)]
    if any(not abs(own[item] - score) <= tolerance for item, score in warm):
        raise ExportFault(f"the graph scores items {items} as {found}; the model says otherwise")
    allowed = np.flatnonzero(np.array(inputs["allow"][0]))
    wanted = np.sort(own[allowed])[::-1][: len(warm)]
    if any(not abs(best - score) <= tolerance for best, (_, score) in zip(wanted.tolist(), warm, strict=True)):
        raise ExportFault(f"the graph's best items {items} are not the model's")
