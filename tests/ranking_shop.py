"""A small shop with a planted structure, its scorer in plain numpy, and fakes of ranking's ports."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from beckon.artefact.model import ITEMS, MANIFEST, SCORER, ItemTable, Manifest, Pointer, Probe, Serving
from beckon.artefact.ports import Stored
from beckon.catalog.model import Item
from beckon.catalog.ports import Change
from beckon.conversions.model import Exposure
from beckon.events.model import Event
from beckon.ranking.assortment import Assortment
from beckon.ranking.ports import Inputs, Scores

NOW = 1_790_000_000_000
MADE = NOW - 3_600_000  # when the model was made
SHOP = "north"

IDS = ("boot", "cap", "coat", "glove", "scarf", "sock")
#            boot  cap  coat glove scarf sock      → read a row: who met boot, met socks next
ROWS = np.array(
    [
        [0.0, 0.0, 0.0, 1.0, 0.0, 5.0],  # boot
        [0.0, 0.0, 2.0, 0.0, 4.0, 0.0],  # cap
        [0.0, 0.0, 0.0, 0.0, 3.0, 0.0],  # coat
        [0.0, 2.5, 0.0, 0.0, 0.0, 0.0],  # glove
        [0.0, 0.5, 0.0, 0.0, 0.0, 0.0],  # scarf
        [1.5, 0.0, 0.0, 0.0, 0.0, 0.0],  # sock
    ]
)
PRIOR = np.array([0.10, 0.05, 0.30, 0.04, 0.03, 0.20])
TOKENS = ("category=body", "category=feet", "category=head")
PARTS = (1, 2, 0, 0, 2, 1)  # the token of each item
DENSE = np.eye(3)[list(PARTS)]
CONTENT_SCALE = 0.5
TREND = ["coat", "sock", "boot", "cap", "glove", "scarf"]  # items by PRIOR

SERVING = Serving(
    history_length=4,
    recency=0.5,
    event_weights={"view": 1.0, "click": 2.0, "cart": 3.0, "purchase": 4.0},
    dense=3,
    exclude_seen=False,
)
TABLE = ItemTable(
    ids=IDS,
    parents=IDS,
    vocabulary=dict.fromkeys(TOKENS, 1.0),
    directions=np.eye(3).tolist(),
    catalogue_ts=MADE,
)


@dataclass(frozen=True)
class NumpyScorer:
    """The graph's contract in a few lines of float64; a fake of `Scorer`, held to the same tests as the real one."""

    rows: NDArray[Any] = field(default_factory=lambda: ROWS)
    prior: NDArray[Any] = field(default_factory=lambda: PRIOR)
    dense: NDArray[Any] = field(default_factory=lambda: DENSE)
    scale: float = CONTENT_SCALE
    asked: list[Inputs] = field(default_factory=list)

    def score(self, inputs: Inputs) -> Scores:
        self.asked.append(inputs)
        everyone = np.vstack([self.dense, inputs.extra])
        more = len(inputs.extra)
        history, weight = inputs.history[inputs.history >= 0], inputs.weight[inputs.history >= 0]
        collaborative = np.hstack([self.rows[history], np.zeros((len(history), more))])
        by_history = weight[:, None] * (collaborative + self.scale * self.dense[history] @ everyone.T)
        by_need = self.scale * everyone @ inputs.need
        prior = np.concatenate([self.prior, np.zeros(more)])
        parts = np.vstack([by_history, by_need, prior]).T
        total = parts.sum(axis=1)
        allowed = np.concatenate([inputs.allow, np.ones(more, bool)])
        order = [i for i in np.argsort(-total, kind="stable") if allowed[i]][: inputs.k]
        return Scores(
            np.array(order, np.int64),
            total[order].astype(np.float32),
            np.full(len(order), np.nan, np.float32),
            parts[order].astype(np.float32),
        )


class FakeHistory:
    """A fake of `History`."""

    def __init__(self, *events: Event) -> None:
        self.events = list(events)
        self.asked: list[tuple[str, str]] = []

    def put(self, event: Event, expires: int | None = None) -> None:
        if expires is None or expires > NOW:
            self.events.append(event)

    def recent(
        self,
        shop: str,
        user_key: str,
        *,
        types: frozenset[str],
        limit: int,
        since: int,
        now: int,  # noqa: ARG002  # what expired was not put
    ) -> list[Event]:
        self.asked.append((shop, user_key))
        mine = [e for e in self.events if (e.shop, e.user_key) == (shop, user_key)]
        counted = [e for e in mine if e.type in types and e.item is not None and e.ts >= since]
        once = {e.message_id: e for e in counted}
        return sorted(once.values(), key=lambda e: (e.ts, e.message_id), reverse=True)[:limit]


@dataclass
class FakeCatalogue:
    """A fake of `CatalogueChanges`."""

    lines: list[tuple[str, Change]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def changes(self, shop: str, after_ts: int) -> Sequence[Change]:
        self.asked.append(after_ts)
        return sorted((c for s, c in self.lines if s == shop and c.ts > after_ts), key=lambda c: c.ts)


@dataclass
class FakeExposures:
    """A fake of `ExposureLog` that can be out of order."""

    kept: list[Exposure] = field(default_factory=list)
    fault: Exception | None = None

    def log(self, exposure: Exposure) -> None:
        if self.fault is not None:
            raise self.fault
        self.kept.append(exposure)


class FakeModels:
    """A fake of `ModelStore`: files and pointers in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], bytes] = {}
        self.pointers: dict[str, Pointer] = {}
        self.modified: dict[tuple[str, str, str], int] = {}
        self.clock = NOW
        self.asked: list[str] = []
        self.fault: Exception | None = None

    def pointer(self, shop: str, known_etag: str | None = None) -> Pointer | None:
        self.asked.append(shop)
        if self.fault is not None:
            raise self.fault
        found = self.pointers.get(shop)
        return None if found is None or found.etag == known_etag else found

    def move(self, shop: str, pointer: Pointer, expected_etag: str | None) -> bool:
        before = self.pointers.get(shop)
        if (None if before is None else before.etag) != expected_etag:
            return False
        number = 1 if before is None or before.etag is None else int(before.etag) + 1
        self.pointers[shop] = replace(pointer, etag=str(number))
        return True

    def read(self, shop: str, model_id: str, name: str) -> bytes:
        if (shop, model_id, name) not in self.kept:
            raise FileNotFoundError(name)
        return self.kept[shop, model_id, name]

    def write(self, shop: str, model_id: str, name: str, content: bytes) -> None:
        self.kept[shop, model_id, name] = content
        self.modified[shop, model_id, name] = self.clock

    def files(self, shop: str) -> Iterator[Stored]:
        return (
            Stored(m, name, self.modified.get((s, m, name), self.clock)) for s, m, name in list(self.kept) if s == shop
        )

    def delete(self, shop: str, model_id: str, name: str) -> None:
        self.kept.pop((shop, model_id, name), None)

    def models(self, shop: str) -> list[str]:
        return sorted({m for s, m, name in self.kept if s == shop and name == MANIFEST}, reverse=True)


class AtOnce(Executor):
    """An executor that does its work while it is asked."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as fault:  # noqa: BLE001  # what executors do
            future.set_exception(fault)
        return future


class Later(Executor):
    """An executor that does its work when told to: a thread frozen with its container."""

    def __init__(self) -> None:
        self.work: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.work.append((future, lambda: fn(*args, **kwargs)))
        return future

    def thaw(self) -> None:
        for future, work in self.work:
            done = AtOnce().submit(work)
            fault = done.exception()
            if fault is None:
                future.set_result(done.result())
            else:
                future.set_exception(fault)
        self.work.clear()


def event(item: str | None, type: str = "view", ago: int = 1, user: str = "ann", **more: Any) -> Event:  # noqa: A002
    """An event `ago` minutes ago."""
    ts = NOW - ago * 60_000
    known = {"shop": SHOP, "message_id": f"{user}-{item}-{type}-{ago}", "original_ts": ts, "received_ts": ts, "ts": ts}
    return Event(**(known | {"type": type, "user_key": user, "item": item} | more))


def changed(item_id: str, ago: int = 1, shop: str = SHOP, **more: Any) -> Change:
    """An item's new state, `ago` seconds ago."""
    ts = NOW - ago * 1_000
    return Change(item_id, ts, Item(shop=shop, id=item_id, title=item_id.title(), updated=ts, **more))


def deleted(item_id: str, ago: int = 1) -> Change:
    return Change(item_id, NOW - ago * 1_000, None)


def assortment(**more: Any) -> Assortment:
    return Assortment.of(replace(TABLE, **more), SERVING.dense)


def probe(scorer: NumpyScorer, history: Sequence[int] = (0, 5, -1, -1), k: int = 3) -> Probe:
    weight = [1.0 if i >= 0 else 0.0 for i in history]
    inputs = Inputs(
        np.array(history), np.array(weight, np.float32), np.zeros(3, np.float32), np.ones(6, bool), np.zeros((0, 3)), k
    )
    scores = scorer.score(inputs)
    sent = {"history": [list(history)], "weight": [weight], "need": [[0.0] * 3], "allow": [[True] * 6]}
    return Probe(sent | {"extra": [], "k": k}, [scores.items.tolist()], [scores.score.tolist()])


def write_model(
    store: Any,
    model_id: str,
    shop: str = SHOP,
    graph: bytes = b"numpy",
    scorer: NumpyScorer | None = None,
    table: ItemTable = TABLE,
    serving: Serving = SERVING,
    *,
    broken: str | None = None,
) -> None:
    """Write a model, whole or `broken` in one of the ways in which models break."""
    files = {SCORER: graph, ITEMS: orjson.dumps(table.to_record())}
    probes = (probe(scorer or NumpyScorer()),)
    files |= {
        "corrupt graph": {SCORER: graph[: len(graph) // 2]},
        "items that are no table": {ITEMS: b"[]"},
        "items of another model": {ITEMS: orjson.dumps(replace(table, ids=IDS[1:], parents=IDS[1:]).to_record())},
    }.get(broken or "", {})
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = Manifest(model_id, shop, MADE, "test", serving, hashes, probes)
    changes: dict[str, dict[str, Any]] = {
        "wrong hash": {"files": hashes | {SCORER: "0" * 64}},
        "failing probe": {"probes": (replace(probes[0], score=[[s + 0.01 for s in probes[0].score[0]]]),)},
        "no probes": {"probes": ()},
        "probe of another shape": {"probes": (replace(probes[0], inputs=probes[0].inputs | {"allow": [[True] * 5]}),)},
        "another shop's": {"shop": "south"},
        "newer schema": {"schema": 99},
    }
    written = orjson.dumps(replace(manifest, **changes.get(broken or "", {})).to_record())
    files |= {"half a manifest": {MANIFEST: written[:100]}}.get(broken or "", {MANIFEST: written})
    missing = {"no items": ITEMS, "no graph": SCORER, "no manifest": MANIFEST}.get(broken or "")
    for name in sorted(files, key=lambda name: name == MANIFEST):
        if name != missing:
            store.write(shop, model_id, name, files[name])


BREAKS = (
    "no manifest",
    "half a manifest",
    "newer schema",
    "another shop's",
    "no graph",
    "no items",
    "items that are no table",
    "items of another model",
    "wrong hash",
    "no probes",
    "failing probe",
    "probe of another shape",
)


def point(store: Any, model_id: str, shop: str = SHOP, previous: str | None = None) -> None:
    """Move the shop's pointer, whatever it was."""
    before = store.pointer(shop)
    assert store.move(shop, Pointer(model_id, NOW, previous), None if before is None else before.etag)
