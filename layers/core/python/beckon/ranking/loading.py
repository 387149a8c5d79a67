"""From a model's files to a model that may serve: hashes and probes first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from beckon.artefact.integrity import mismatches
from beckon.artefact.model import ITEMS, MANIFEST, SCHEMA, SCORER, ItemTable, Manifest, Serving
from beckon.artefact.ports import ModelStore
from beckon.artefact.probes import Run, passes
from beckon.artefact.registry import read_manifest
from beckon.ranking.assortment import Assortment
from beckon.ranking.ports import Inputs, Scorer
from beckon.ranking.scorer import BrokenModel

type Open = Callable[[bytes], Scorer]

# What parsing a file of the wrong shape raises; orjson's error is a ValueError.
_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(slots=True)
class LoadedModel:
    """A model that passed its probes, of `size` bytes; `assortment` is replaced as the catalogue changes."""

    model_id: str
    serving: Serving
    scorer: Scorer
    assortment: Assortment
    size: int


def load(store: ModelStore, open_scorer: Open, shop: str, model_id: str) -> LoadedModel:
    """Return the model once its files are those the manifest names and its graph answers its probes.

    Raises:
        BrokenModel: a file is missing, altered or unreadable, or a probe is answered otherwise; it must not serve.
    """
    manifest = _manifest(store, shop, model_id)
    files = {name: _read(store, shop, model_id, name) for name in (SCORER, ITEMS)}
    altered = sorted((files.keys() & mismatches(files, manifest)) | (files.keys() - manifest.files.keys()))
    if altered:
        raise BrokenModel(f"{', '.join(altered)}: another sha256 than {MANIFEST} says")
    try:
        assortment = Assortment.of(ItemTable.from_record(orjson.loads(files[ITEMS])), manifest.serving.dense)
    except _UNREADABLE as fault:
        raise BrokenModel(f"{ITEMS} cannot be read: {fault!r}") from None
    scorer = open_scorer(files[SCORER])
    try:
        answers = passes(_run(scorer, assortment.model_items), manifest.probes)
    except _UNREADABLE as fault:
        raise BrokenModel(f"{SCORER} cannot run the probes: {fault!r}") from None
    if not answers:
        raise BrokenModel(f"{SCORER} answers the probes otherwise than {MANIFEST} says")
    return LoadedModel(model_id, manifest.serving, scorer, assortment, sum(len(content) for content in files.values()))


def _read(store: ModelStore, shop: str, model_id: str, name: str) -> bytes:
    try:
        return store.read(shop, model_id, name)
    except FileNotFoundError:
        raise BrokenModel(f"{name} is missing") from None


def _manifest(store: ModelStore, shop: str, model_id: str) -> Manifest:
    try:
        manifest = read_manifest(store, shop, model_id)
    except FileNotFoundError:
        raise BrokenModel(f"{MANIFEST} is missing") from None
    except _UNREADABLE as fault:
        raise BrokenModel(f"{MANIFEST} cannot be read: {fault!r}") from None
    if manifest.schema != SCHEMA:
        raise BrokenModel(f"{MANIFEST} has schema {manifest.schema}; this version of Beckon reads {SCHEMA}")
    if (manifest.shop, manifest.model_id) != (shop, model_id):
        raise BrokenModel(f"{MANIFEST} is that of model {manifest.model_id} of another place")
    return manifest


def _run(scorer: Scorer, items_of_model: int) -> Run:
    """Return the scorer as a runner of probes: a row at a time, padded again to the widest."""

    def run(inputs: Mapping[str, Any]) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[float]]]:
        rows = [scorer.score(_row(inputs, row, items_of_model)) for row in range(len(inputs["history"]))]
        widest = max(len(row.items) for row in rows)
        pads = [widest - len(row.items) for row in rows]
        items = [row.items.tolist() + [-1] * missing for row, missing in zip(rows, pads, strict=True)]
        scores = [row.score.tolist() + [-np.inf] * missing for row, missing in zip(rows, pads, strict=True)]
        return items, scores

    return run


def _row(inputs: Mapping[str, Any], row: int, items_of_model: int) -> Inputs:
    need, allow = np.array(inputs["need"][row], np.float32), np.array(inputs["allow"][row], np.bool_)
    if allow.shape != (items_of_model,):
        raise ValueError(f"the probe allows {allow.shape} items where {ITEMS} has {items_of_model}")
    return Inputs(
        history=np.array(inputs["history"][row], np.int64),
        weight=np.array(inputs["weight"][row], np.float32),
        need=need,
        allow=allow,
        extra=np.array(inputs["extra"], np.float32).reshape(-1, len(need)),
        k=int(inputs["k"]),
    )
