"""The model artefact: file names, the manifest, and the pointer to the model that serves.

`models/<shop>/<model id>/{scorer.onnx, items.json, report.html, manifest.json}` and `models/<shop>/current.json`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCORER = "scorer.onnx"
ITEMS = "items.json"
MANIFEST = "manifest.json"
REPORT = "report.html"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Chances:
    """What a caller does to the graph's probability σ(z): σ(A·(z − v[place] + v[position]) + B).

    The graph cannot know the `surfaces`, each with its (A, B): (1, 0) where one is not named. It takes the place in its
    output for the position in the list; where variants of an item were left out between, the two differ.
    `positions` v are log odds by band, `position_starts` where each band starts (the first is 1).
    """

    surfaces: Mapping[str, tuple[float, float]]
    position_starts: tuple[int, ...]
    positions: tuple[float, ...]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Chances":
        """Return what `asdict` wrote."""
        surfaces = {name: (float(line[0]), float(line[1])) for name, line in record["surfaces"].items()}
        return cls(surfaces, tuple(record["position_starts"]), tuple(record["positions"]))


@dataclass(frozen=True, slots=True)
class Serving:
    """What a caller of scorer.onnx must know to build its inputs.

    `history_length` L: how many of the newest events to send; `recency` ρ: weight of the k-th newest is ρ^k times
    `event_weights[type]` (types not named count 0); `dense` D: columns of `need` and `extra`; `exclude_seen`: whether
    items of the history are left out, because the shop's data has no repeats; `chances`: how to finish the graph's
    probability, None where it is not calibrated.
    """

    history_length: int
    recency: float
    event_weights: Mapping[str, float]
    dense: int
    exclude_seen: bool
    chances: Chances | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Serving":
        """Return what `asdict` wrote; fields a newer version added are ignored."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        chances = record.get("chances")
        return cls(**(known | {"chances": None if chances is None else Chances.from_record(chances)}))


@dataclass(frozen=True, slots=True)
class Probe:
    """Inputs of the graph with the outputs that the exporter saw, as nested lists; −1 pads, None is NaN or −inf."""

    inputs: Mapping[str, Any]
    items: list[list[int]]
    score: list[list[float | None]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about one model; written last, so that a model without it never existed.

    `files` maps each file name to its sha256 (hex). `inputs` has the lake's range, rows and hash; `settings` the
    chosen hyper-parameters with the search's trace; `metrics` champion, challenger and baselines; `resources` wall
    seconds and peak MiB. `lineage` has the `parent` (the model that served when this one was trained), and where the
    `recipe` comes from. Times are UTC ms.
    """

    model_id: str
    shop: str
    created: int
    code_version: str
    serving: Serving
    files: Mapping[str, str]
    probes: tuple[Probe, ...]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    privacy: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_record(self) -> dict[str, Any]:
        """Return the manifest as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Manifest":
        """Return the manifest `to_record` wrote; fields a newer version added are ignored."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        serving = Serving.from_record(record["serving"])
        probes = tuple(Probe(**{n: p[n] for n in Probe.__slots__}) for p in record["probes"])
        return cls(**(known | {"serving": serving, "probes": probes}))


@dataclass(frozen=True, slots=True)
class Pointer:
    """What `current.json` says: the model that serves, the one before it, and whether a person pinned it.

    `etag` is the store's version of the pointer, for conditional moves; it is not part of the file.
    """

    model_id: str
    moved: int
    previous: str | None = None
    pinned: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class ItemTable:
    """The items of a model, in index order, and what a scorer needs to place items newer than the model.

    `ids[i]` is the item of index i and `parents[i]` its parent (itself when it has none). `vocabulary` maps a content
    token (`Item.tokens`) to its weight (idf) and `directions` [tokens, D] to its place in the dense space, rows in
    the vocabulary's order: an item's dense vector is the row-normalised idf-weighted sum of its tokens' directions.
    `unavailable` are indices not on sale when the model was made; `catalogue_ts` (UTC ms) is the catalogue's state
    then, so that a scorer follows the change log from there.
    """

    ids: tuple[str, ...]
    parents: tuple[str, ...]
    vocabulary: Mapping[str, float]
    directions: list[list[float]]
    unavailable: tuple[int, ...] = ()
    catalogue_ts: int = 0

    def to_record(self) -> dict[str, Any]:
        """Return the table as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "ItemTable":
        """Return the table `to_record` wrote."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        tuples = {name: tuple(record.get(name, ())) for name in ("ids", "parents", "unavailable")}
        return cls(**(known | tuples))
