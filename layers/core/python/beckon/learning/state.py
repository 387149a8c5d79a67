"""What a run leaves for the next one: the events it read, so that the next reads only what is new.

`models/<shop>/state/<sha256>` holds an index and the segments it names; a manifest names its index. Content is checked
by its name. Whatever is missing, altered or of another version is no state: then the whole lake is read again.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from beckon import VERSION
from beckon.artefact.model import Manifest
from beckon.artefact.ports import ModelStore
from beckon.lake.following import Followed, Segment, decode_segment, encode_segment
from beckon.lake.parquet import CorruptObject
from beckon.lake.schema import VERSION as LAKE_VERSION

STATE = "state"
LAYOUT = f"1 {VERSION} {LAKE_VERSION}"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier runs read: segments of rows, and the objects that were corrupt."""

    segments: tuple[Segment, ...] = ()
    corrupt: Mapping[str, str] | None = None


def save(models: ModelStore, shop: str, followed: Followed) -> str:
    """Return the name of the state that was written: its new segments, then its index."""
    names = [one.name or _put(models, shop, encode_segment(one)) for one in followed.segments]
    index = {
        "layout": LAYOUT,
        "columns": followed.columns,
        "segments": [
            {"name": name, "objects": one.objects} for name, one in zip(names, followed.segments, strict=True)
        ],
        "corrupt": followed.corrupt,
    }
    return _put(models, shop, orjson.dumps(index, option=orjson.OPT_SORT_KEYS))


def load(models: ModelStore, shop: str, newest: Manifest | None, columns: Sequence[str]) -> Known:
    """Return what the shop's newest model knew of the lake; nothing if its state cannot be used."""
    name = None if newest is None else newest.inputs.get(STATE)
    if name is None:
        return Known()
    try:
        index = _index(models, shop, name)
        if (index["layout"], index["columns"]) != (LAYOUT, list(columns)):
            log.info("%s: state %s is of another version; the lake is read whole", shop, name)
            return Known()
        segments = tuple(
            decode_segment(
                _get(models, shop, one["name"]),
                [(key, version) for key, version in one["objects"]],
                one["name"],
                columns,
            )
            for one in index["segments"]
        )
    except (FileNotFoundError, CorruptObject) as fault:
        log.warning("%s: state %s cannot be used (%s); the lake is read whole", shop, name, fault)
        return Known()
    return Known(segments, index["corrupt"])


def files_of(models: ModelStore, shop: str, newest: Manifest | None) -> frozenset[str]:
    """Return the names of the files that the newest model's state consists of."""
    name = None if newest is None else newest.inputs.get(STATE)
    if name is None:
        return frozenset()
    try:
        return frozenset({name, *(one["name"] for one in _index(models, shop, name)["segments"])})
    except (FileNotFoundError, CorruptObject):
        return frozenset()


def _index(models: ModelStore, shop: str, name: str) -> Any:
    return orjson.loads(_get(models, shop, name))


def _put(models: ModelStore, shop: str, content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    models.write(shop, STATE, name, content)
    return name


def _get(models: ModelStore, shop: str, name: str) -> bytes:
    """Return a file of the state. Raises FileNotFoundError, or CorruptObject if its content is not what it was."""
    content = models.read(shop, STATE, name)
    if hashlib.sha256(content).hexdigest() != name:
        raise CorruptObject(f"{name} has another sha256")
    return content
