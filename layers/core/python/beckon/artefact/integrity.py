"""Whether a model's files are those its manifest names."""

import hashlib
from collections.abc import Mapping

from beckon.artefact.model import Manifest


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the sha256 (hex) of each file, by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}


def mismatches(files: Mapping[str, bytes], manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the manifest's files that are missing from `files` or have another sha256, sorted."""
    found = digests(files)
    return tuple(name for name, digest in sorted(manifest.files.items()) if found.get(name) != digest)
