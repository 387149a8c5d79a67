"""gather → rank → apply: history and catalogue as of now, the list, and its exposure before the answer."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from beckon.conversions.model import Exposure, Slot
from beckon.events.model import Event
from beckon.ranking.loading import LoadedModel
from beckon.ranking.model import Ranking, Request, Served
from beckon.ranking.models import Models
from beckon.ranking.ports import CatalogueChanges, ExposureLog, History
from beckon.ranking.rank import history_types, needs_history, rank
from beckon.values import stranger_key

NO_MODEL = (
    "no model serves yet, so there is nothing to recommend; events are being kept. "
    "Send events and items, then run retrain (it also runs on its schedule)"
)
REFUSED_MODEL = "the model did not pass its checks and none before it is left; the log says why. Run retrain"


@dataclass(frozen=True, slots=True)
class Recommending:
    """Serves lists. `retention_ms`: how far back a history goes; `pool` has the threads that gather in parallel."""

    models: Models
    history: History
    catalogue: CatalogueChanges
    exposures: ExposureLog
    retention_ms: int
    pool: Executor

    def recommend(self, shop: str, user_keys: Sequence[str], request: Request, rec_id: str, now: int) -> Served:
        """Return the list for `request`, once its exposure is kept.

        `user_keys` are the identities whose history may be read, the primary one first; none for a stranger.
        """
        steps: dict[str, float] = {}
        with _timed(steps, "ms_model"):
            model, report = self.models.current(shop, now)
        history: list[Event] = []
        if model is None:
            note = REFUSED_MODEL if "model_refused" in report else NO_MODEL
            ranking = Ranking((), "none", note)
        else:
            with _timed(steps, "ms_gather"):
                history = self._gather(model, shop, user_keys, request, now)
            with _timed(steps, "ms_rank"):
                ranking = rank(request, history, model.serving, model.assortment, model.scorer)
        model_id = None if model is None else model.model_id
        exposure = Exposure(
            shop=shop,
            rec_id=rec_id,
            user_key=user_keys[0] if user_keys else stranger_key(shop, rec_id),
            surface=request.surface,
            policy=ranking.policy,
            model_id=model_id,
            ts=now,
            slots=tuple(
                Slot(one.id, position, one.score, one.final_score)
                for position, one in enumerate(ranking.items, start=1)
            ),
            history=ranking.history,
        )
        with _timed(steps, "ms_exposure"):
            self.exposures.log(exposure)
        log: dict[str, Any] = {
            "model_id": model_id,
            "surface": request.surface,
            "policy": ranking.policy,
            "items": len(ranking.items),
            "history": len(history),
        }
        return Served(rec_id, model_id, request.surface, ranking, log | steps | dict(report))

    def _gather(
        self, model: LoadedModel, shop: str, user_keys: Sequence[str], request: Request, now: int
    ) -> list[Event]:
        """Return the history newest first, each event once, and bring the model's assortment up to now."""
        serving = model.serving
        types, length = history_types(serving), serving.history_length
        pages = [
            self.pool.submit(
                self.history.recent, shop, user_key, types=types, limit=length, since=now - self.retention_ms, now=now
            )
            for user_key in (user_keys if needs_history(request, serving) else ())
        ]
        # Requests beside this one may have replaced the assortment meanwhile: either is whole, and what the one that
        # is lost had read is read again from its cursor.
        changes = self.catalogue.changes(shop, model.assortment.read_after)
        model.assortment = model.assortment.after(changes).read_until(now)
        once = {event.message_id: event for page in pages for event in page.result()}
        return sorted(once.values(), key=lambda event: (event.ts, event.message_id), reverse=True)[:length]


@contextmanager
def _timed(steps: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    steps[step] = round((time.perf_counter() - started) * 1000, 2)
