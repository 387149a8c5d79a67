"""Where model artefacts are kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from beckon.artefact.model import Pointer


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a model as the store lists it; `modified` is UTC ms."""

    model_id: str
    name: str
    modified: int


class ModelStore(Protocol):
    """Model files by shop and model id, and each shop's pointer. Faults of the store raise untouched."""

    def pointer(self, shop: str, known_etag: str | None = None) -> Pointer | None:
        """Return the shop's pointer; None if there is none, or if it still has `known_etag`."""
        ...

    def move(self, shop: str, pointer: Pointer, expected_etag: str | None) -> bool:
        """Make `pointer` the shop's if it still has `expected_etag` (None: if there is none); False if it moved."""
        ...

    def read(self, shop: str, model_id: str, name: str) -> bytes:
        """Return one file of a model. Raises FileNotFoundError if there is none."""
        ...

    def write(self, shop: str, model_id: str, name: str, content: bytes) -> None:
        """Write one file of a model; the manifest is written last."""
        ...

    def models(self, shop: str) -> list[str]:
        """Return the ids of the shop's models that have a manifest, newest first (ids sort by time)."""
        ...

    def files(self, shop: str) -> Iterator[Stored]:
        """Yield every file of the shop's models and of its states, in no particular order; pointers are none."""
        ...

    def delete(self, shop: str, model_id: str, name: str) -> None:
        """Remove a file; one that is gone already is no fault."""
        ...
