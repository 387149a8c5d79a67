"""Where the lake's objects are kept."""

from typing import Protocol


class LakeStore(Protocol):
    """Whole objects by key. Writes overwrite; faults of the store raise untouched."""

    def list(self, prefix: str) -> list[str]:
        """Return every key that starts with `prefix`, sorted."""
        ...

    def versions(self, prefix: str) -> dict[str, str]:
        """Return every key that starts with `prefix`, with a version that changes when the content does."""
        ...

    def read(self, key: str) -> bytes:
        """Return an object's content. Raises FileNotFoundError if there is none."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Put an object, replacing what was there."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone already is no fault."""
        ...
