"""A shop's models: which there are, which serves, and moving the pointer by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from beckon.artefact.model import MANIFEST, Manifest, Pointer
from beckon.artefact.ports import ModelStore
from beckon.values import Refused

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of the registry; `serves`: the pointer is at it, `pinned`: and stays there until unpinned."""

    manifest: Manifest
    serves: bool
    pinned: bool


class Registry:
    """Lists a shop's models and moves its pointer. A pinned pointer is moved by people alone."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def manifest(self, shop: str, model_id: str) -> Manifest:
        """Return a model's manifest.

        Raises:
            Refused: the shop has no such model.
        """
        if model_id not in self._store.models(shop):
            raise Refused("not-found", f"shop {shop} has no model {model_id[:80]!r}; GET /v1/models lists them", "id")
        return read_manifest(self._store, shop, model_id)

    def models(self, shop: str, most: int = 50) -> Sequence[Listed]:
        """Return the newest models, newest first, the one that serves among them."""
        pointer = self._store.pointer(shop)
        ids = self._store.models(shop)
        shown = ids[:most]
        if pointer is not None and pointer.model_id in ids[most:]:
            shown = [*shown, pointer.model_id]
        return [
            Listed(
                read_manifest(self._store, shop, one),
                serves=pointer is not None and pointer.model_id == one,
                pinned=pointer is not None and pointer.model_id == one and pointer.pinned,
            )
            for one in shown
        ]

    def promote(self, shop: str, model_id: str, now: int, *, pinned: bool | None = None) -> Pointer:
        """Return the pointer, moved to `model_id`.

        Unless told otherwise an older model than the newest is pinned, so that the next retrain does not undo what a
        person chose, and the newest is not, so that retraining goes on.

        Raises:
            Refused: the shop has no such model, or others kept moving the pointer.
        """
        ids = self._store.models(shop)
        if model_id not in ids:
            raise Refused("not-found", f"shop {shop} has no model {model_id[:80]!r}; GET /v1/models lists them", "id")
        pin = model_id != ids[0] if pinned is None else pinned
        for _ in range(ATTEMPTS):
            old = self._store.pointer(shop)
            if old is not None and (old.model_id, old.pinned) == (model_id, pin):
                return old
            previous = None if old is None else old.previous if old.model_id == model_id else old.model_id
            moved = Pointer(model_id, now, previous, pin)
            if self._store.move(shop, moved, None if old is None else old.etag):
                return moved
        raise Refused("conflict", "the pointer was moved by somebody else meanwhile; look again, then try again")

    def roll_back(self, shop: str, now: int) -> Pointer:
        """Return the pointer, moved to the model that served before and pinned there.

        Raises:
            Refused: no model served before.
        """
        pointer = self._store.pointer(shop)
        if pointer is None or pointer.previous is None:
            raise Refused("not-found", f"shop {shop} has no model that served before this one")
        return self.promote(shop, pointer.previous, now, pinned=True)

    def unpin(self, shop: str, now: int) -> Pointer:
        """Return the pointer, free to be moved by the next retrain again.

        Raises:
            Refused: the shop has no pointer.
        """
        pointer = self._store.pointer(shop)
        if pointer is None:
            raise Refused("not-found", f"shop {shop} has no model yet")
        return self.promote(shop, pointer.model_id, now, pinned=False)


def offer(store: ModelStore, shop: str, model_id: str, now: int) -> bool:
    """Move the pointer to a freshly trained model unless it is pinned or at a newer one; return whether it moved."""
    for _ in range(ATTEMPTS):
        old = store.pointer(shop)
        if old is None:
            if store.move(shop, Pointer(model_id, now), None):
                return True
            continue
        if old.pinned or old.model_id >= model_id:
            return False
        moved = replace(old, model_id=model_id, moved=now, previous=old.model_id, etag=None)
        if store.move(shop, moved, old.etag):
            return True
    return False


def read_manifest(store: ModelStore, shop: str, model_id: str) -> Manifest:
    """Return a model's manifest. Raises FileNotFoundError if there is none."""
    return Manifest.from_record(orjson.loads(store.read(shop, model_id, MANIFEST)))
