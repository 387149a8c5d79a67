"""From a model's files to a model that may serve: hashes and probes first."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from beckon.artefact.model import ITEMS, MANIFEST, SCHEMA, SCORER, ItemTable, Manifest, Probe, Serving
from beckon.artefact.ports import ModelStore
from beckon.ranking.assortment import Assortment
from beckon.ranking.ports import Inputs, Scorer, Scores
from beckon.ranking.scorer import BrokenModel

TOLERANCE = 1e-4  # relative: another runtime adds in another order

type Open = Callable[[bytes], Scorer]


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
    manifest = _manifest(_read(store, shop, model_id, MANIFEST))
    if (manifest.shop, manifest.model_id) != (shop, model_id):
        raise BrokenModel(f"{MANIFEST} is that of model {manifest.model_id} of another place")
    content = {name: _read(store, shop, model_id, name) for name in (SCORER, ITEMS)}
    for name, found in content.items():
        if hashlib.sha256(found).hexdigest() != manifest.files.get(name):
            raise BrokenModel(f"{name} has another sha256 than {MANIFEST} says")
    try:
        assortment = Assortment.of(ItemTable.from_record(orjson.loads(content[ITEMS])), manifest.serving.dense)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError, IndexError) as fault:
        raise BrokenModel(f"{ITEMS} cannot be read: {fault!r}") from None
    scorer = open_scorer(content[SCORER])
    if not manifest.probes:
        raise BrokenModel(f"{MANIFEST} has no probes")
    for number, probe in enumerate(manifest.probes):
        _check(probe, number, scorer, assortment.model_items)
    size = sum(len(found) for found in content.values())
    return LoadedModel(model_id, manifest.serving, scorer, assortment, size)


def _read(store: ModelStore, shop: str, model_id: str, name: str) -> bytes:
    try:
        return store.read(shop, model_id, name)
    except FileNotFoundError:
        raise BrokenModel(f"{name} is missing") from None


def _manifest(content: bytes) -> Manifest:
    try:
        record = orjson.loads(content)
        if record["schema"] != SCHEMA:
            raise BrokenModel(f"{MANIFEST} has schema {record['schema']}; this version of Beckon reads {SCHEMA}")
        return Manifest.from_record(record)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as fault:
        raise BrokenModel(f"{MANIFEST} cannot be read: {fault!r}") from None


def _check(probe: Probe, number: int, scorer: Scorer, items_of_model: int) -> None:
    """Raise unless the scorer answers the probe: its scores, and its items up to the order of equal scores."""
    for row, (items, wanted_scores) in enumerate(zip(probe.items, probe.score, strict=True)):
        try:
            found = scorer.score(_inputs(probe, row, items_of_model))
        except (KeyError, IndexError, TypeError, ValueError) as fault:
            raise BrokenModel(f"probe {number} cannot be run: {fault!r}") from None
        real = [place for place, item in enumerate(items) if item >= 0]
        wanted = np.array([wanted_scores[place] for place in real], np.float64)  # None becomes NaN: like nothing
        if not _alike([items[place] for place in real], wanted, found):
            raise BrokenModel(
                f"probe {number} is answered {found.items[:3]} {found.score[:3]} where {MANIFEST} differs"
            )


def _inputs(probe: Probe, row: int, items_of_model: int) -> Inputs:
    need, allow = np.array(probe.inputs["need"][row], np.float32), np.array(probe.inputs["allow"][row], np.bool_)
    if allow.shape != (items_of_model,):
        raise ValueError(f"the probe allows {allow.shape[0]} items where {ITEMS} has {items_of_model}")
    return Inputs(
        history=np.array(probe.inputs["history"][row], np.int64),
        weight=np.array(probe.inputs["weight"][row], np.float32),
        need=need,
        allow=allow,
        extra=np.array(probe.inputs["extra"], np.float32).reshape(-1, len(need)),
        k=int(np.ravel(probe.inputs["k"])[0]),
    )


def _alike(items: Sequence[int], wanted: NDArray[np.float64], found: Scores) -> bool:
    if len(items) != len(found.items):
        return False
    if not items:
        return True
    tolerance = TOLERANCE * float(np.abs(wanted).max())
    score_of = dict(zip(items, wanted.tolist(), strict=True))
    own = np.array([score_of.get(item, wanted[-1]) for item in found.items.tolist()])
    return bool(np.all(np.abs(found.score - wanted) <= tolerance) and np.all(np.abs(found.score - own) <= tolerance))
