"""The models a container holds: loaded on a shop's first request, then renewed off the request's path.

A Lambda's threads are frozen with it between requests, so "after the answer" would take an extension. Instead one
background thread asks for the pointer and loads beside the requests, which go on with the old model; frozen, it goes on
during the next one. Measured at 12 k items on one core, requests back to back: the swap took 35 requests and 144 ms of
their time, at a median of 3 ms and at most 17 ms a request, where 1 ms is usual and loading on the path is 79 ms. A
container too idle to give its thread time waits for it once, when it is overdue.
"""

from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from threading import Lock

from beckon.artefact.ports import ModelStore
from beckon.ranking.loading import LoadedModel, Open, load
from beckon.ranking.scorer import BrokenModel
from beckon.values import SECOND_MS

CHECK_MS = 30 * SECOND_MS  # the pointer is asked for at most so often
OVERDUE_MS = 300 * SECOND_MS  # a check still under way after so long is waited for
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Check:
    """What looking at the pointer found: nothing new, a model that may serve, or why one must not."""

    etag: str | None = None
    model: LoadedModel | None = None
    refused: str | None = None


@dataclass(slots=True)
class _Place:
    """A shop's place in the container."""

    checked: int
    etag: str | None = None
    model: LoadedModel | None = None
    report: dict[str, str] = field(default_factory=dict)
    pending: Future[_Check] | None = None


class Models:
    """Each shop's serving model, least recently used ones dropped beyond `capacity` bytes of model files."""

    def __init__(self, store: ModelStore, open_scorer: Open, background: Executor, capacity: int) -> None:
        self._store, self._open, self._background, self._capacity = store, open_scorer, background, capacity
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._lock = Lock()

    def current(self, shop: str, now: int) -> tuple[LoadedModel | None, Mapping[str, str]]:
        """Return the model that serves, None if there is none yet, and what the log should say of it.

        The first request of a shop in a container pays the load. A model that is refused leaves the one before it in
        place, and `model_refused` says why on every line until a good one comes.
        """
        with self._lock:
            place = self._places.get(shop)
            if place is None or (place.model is None and not self._rests(place, now)):
                place = self._places[shop] = _Place(now)
                self._take(place, _look(self._store, self._open, shop, None, None))
            else:
                self._renew(shop, place, now)
            self._places.move_to_end(shop)
            self._drop_oldest()
            return place.model, place.report

    def _rests(self, place: _Place, now: int) -> bool:
        """Whether not to look again yet for a first model: only after a refused one, whose load is not cheap."""
        return "model_refused" in place.report and now - place.checked < CHECK_MS

    def _renew(self, shop: str, place: _Place, now: int) -> None:
        if place.pending is None:
            if now - place.checked < CHECK_MS:
                return
            place.checked = now
            held = place.model.model_id if place.model else None
            place.pending = self._background.submit(_look, self._store, self._open, shop, place.etag, held)
        if now - place.checked >= OVERDUE_MS:
            wait([place.pending], PATIENCE_S)
            place.checked = now  # once, not at every request after it
        if place.pending.done():
            done, place.pending = place.pending, None
            fault = done.exception()
            if fault is None:
                self._take(place, done.result())
            else:  # the store is at fault: the old model goes on, and the next check asks again
                place.report["model_check"] = type(fault).__name__

    def _take(self, place: _Place, check: _Check) -> None:
        place.report = {} if check.refused is None else {"model_refused": check.refused}
        if check.etag is not None:
            place.etag = check.etag
        if check.model is not None:
            place.model = check.model

    def _drop_oldest(self) -> None:
        while len(self._places) > 1 and sum(_size(one) for one in self._places.values()) > self._capacity:
            self._places.popitem(last=False)


def _size(place: _Place) -> int:
    return place.model.size if place.model else 0


def _look(store: ModelStore, open_scorer: Open, shop: str, etag: str | None, held: str | None) -> _Check:
    """Return what the shop's pointer leads to. Without a model `held`, a refused one is stood in for by its forerunner.

    The etag of a pointer to a refused model is not kept, so that the next check tries it again: it may be whole then.
    """
    pointer = store.pointer(shop, etag)
    if pointer is None:
        return _Check()
    if pointer.model_id == held:
        return _Check(pointer.etag)
    try:
        return _Check(pointer.etag, load(store, open_scorer, shop, pointer.model_id))
    except BrokenModel as fault:
        refused = f"{pointer.model_id}: {fault}"
    if held is not None or pointer.previous is None:
        return _Check(refused=refused)
    try:
        return _Check(None, load(store, open_scorer, shop, pointer.previous), refused)
    except BrokenModel as fault:
        return _Check(refused=f"{refused}; {pointer.previous}: {fault}")
