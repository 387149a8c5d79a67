"""What of a shop's model files may go: old models, what killed runs left behind, states that nobody reads any more."""

from collections.abc import Mapping
from dataclasses import dataclass

from beckon.artefact.model import MANIFEST
from beckon.artefact.ports import ModelStore
from beckon.artefact.registry import read_manifest
from beckon.learning.state import STATE, files_of
from beckon.values import DAY_MS

# What a run wrote so long ago without a manifest was killed: no run lives longer than an hour.
LEFT_BEHIND_MS = DAY_MS


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many models were old, how many folders had no manifest, and how many files of states were in no use."""

    models: int = 0
    unfinished: int = 0
    states: int = 0

    @property
    def total(self) -> int:
        """Return how many there were of all kinds."""
        return self.models + self.unfinished + self.states


def clear(models: ModelStore, shop: str, now: int, most: int) -> Cleared:
    """Keep the `most` newest models of a shop, and the ones that the pointer names; return what was removed.

    A folder without manifest goes when its newest file is a day old. Of the states that of the newest model stays;
    the others go after a day too. A model's manifest goes first: what is listed is always whole. Safe to be killed.
    """
    folders: dict[str, dict[str, int]] = {}
    for found in models.files(shop):
        folders.setdefault(found.model_id, {})[found.name] = found.modified
    states = folders.pop(STATE, {})
    whole = sorted((one for one, files in folders.items() if MANIFEST in files), reverse=True)
    in_use = files_of(models, shop, read_manifest(models, shop, whole[0]) if whole else None)
    old = [one for one in whole[max(1, most) :] if _remove_model(models, shop, one, folders[one])]
    left = [one for one, files in folders.items() if MANIFEST not in files and _is_left(files, now)]
    for one in left:
        for name in folders[one]:
            models.delete(shop, one, name)
    unused = [one for one, modified in states.items() if one not in in_use and _is_left({one: modified}, now)]
    for name in unused:
        models.delete(shop, STATE, name)
    return Cleared(len(old), len(left), len(unused))


def _remove_model(models: ModelStore, shop: str, model_id: str, files: Mapping[str, int]) -> bool:
    """Remove a model unless the pointer names it, which is looked up each time: a person may have moved it just now."""
    pointer = models.pointer(shop)
    if pointer is not None and model_id in {pointer.model_id, pointer.previous}:
        return False
    for name in sorted(files, key=lambda one: (one != MANIFEST, one)):
        models.delete(shop, model_id, name)
    return True


def _is_left(files: Mapping[str, int], now: int) -> bool:
    return max(files.values()) < now - LEFT_BEHIND_MS
