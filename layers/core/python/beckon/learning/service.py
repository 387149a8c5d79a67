"""Retraining a shop: read lake and catalogue, train, write the artefact, move the pointer if the gate passes."""

import logging
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from beckon import VERSION
from beckon.artefact.integrity import digests
from beckon.artefact.model import ITEMS, MANIFEST, REPORT, SCORER, Manifest, Probe
from beckon.artefact.ports import ModelStore
from beckon.artefact.probes import passes
from beckon.artefact.registry import offer, read_manifest
from beckon.catalog.ports import Catalogue
from beckon.lake.ports import LakeStore
from beckon.lake.reading import shops
from beckon.learning.calibration import Fitted, fit_probability
from beckon.learning.clearing import clear
from beckon.learning.comparison import compared
from beckon.learning.export import scorer_onnx
from beckon.learning.gate import Limits, checks
from beckon.learning.gathering import COLUMNS, Given, digest_of, gather, listing_of
from beckon.learning.packaging import item_table, probes_of, reference_run, serving_of
from beckon.learning.ports import Leases, Runs
from beckon.learning.recipe import Recipe
from beckon.learning.reliability import by_segment
from beckon.learning.report import report_html
from beckon.learning.slots import POSITIVE_TYPES, seen_slots
from beckon.learning.state import load
from beckon.learning.training import Trained, train
from beckon.values import SECOND_MS

GRACE_MS = 60 * SECOND_MS
# Tuning and judging stop when so much of the run's time is left, which is for fitting, export and writing.
RESERVE = 0.4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retraining:
    """Trains shops. `known_shops` lists those that exist, with or without events; the `models_kept` newest stay."""

    lake: LakeStore
    catalogue: Catalogue
    models: ModelStore
    leases: Leases
    known_shops: Callable[[], Iterable[str]]
    models_kept: int = 30
    limits: Limits = field(default_factory=Limits)

    def due(self) -> list[str]:
        """Return the shops with lake objects or catalogue changes that their newest model does not know, sorted."""
        return [shop for shop in sorted({*shops(self.lake), *self.known_shops()}) if self._is_due(shop)]

    def start_all(self, runs: Runs) -> dict[str, Any]:
        """Start a run for each shop that is due; return which."""
        started = self.due()
        for shop in started:
            runs.start(shop)
        return {"started": started}

    def retrain(
        self, shop: str, owner: str, now: int, remaining_ms: Callable[[], int], *, force: bool = False
    ) -> dict[str, Any]:
        """Return what came of one run: `model_id` and whether it was promoted, or a `note` why there is no new model.

        Files are written first, the manifest last, then the pointer moves: killed anywhere, the old model serves on.
        The lease ends a minute after the run's deadline, so that a killed run blocks nobody for long.
        """
        if not self.leases.take(shop, owner, now, now + remaining_ms() + GRACE_MS):
            return {"shop": shop, "model_id": None, "promoted": False, "note": "another run is training this shop"}
        try:
            done = self._run(shop, now, remaining_ms, force=force)
            return done | {"cleared": clear(self.models, shop, now, self.models_kept).total}
        finally:
            self.leases.release(shop, owner)

    def _is_due(self, shop: str) -> bool:
        newest = self._newest(shop)
        if newest is None:
            return True
        if newest.inputs["listing"] != listing_of(self.lake, shop):
            return True
        return self._waits(newest) or bool(self.catalogue.changes(shop, newest.inputs["catalogue_ts"]))

    def _run(self, shop: str, now: int, remaining_ms: Callable[[], int], *, force: bool) -> dict[str, Any]:
        began, total = time.perf_counter(), remaining_ms()
        newest = self._newest(shop)
        known = load(self.models, shop, newest, COLUMNS)
        given = gather(self.lake, self.catalogue, shop, newest, now, known=known)
        del known  # the new state has its rows
        answer: dict[str, Any] = {"shop": shop, "model_id": None, "promoted": False, "rows": given.events.num_rows}
        if not given.sequences.ids:
            return answer | {"note": "no items: neither events that name one nor a catalogue"}
        if newest is not None and not force and (newest.inputs["hash"], newest.code_version) == (given.hash, VERSION):
            moved = self._waits(newest) and offer(self.models, shop, newest.model_id, now)
            return answer | {"promoted": moved, "note": f"nothing new since model {newest.model_id}"}
        given = given.kept_for_the_next(self.models, shop)
        log.info("%s: %d events of %d items read", shop, len(given.sequences), len(given.sequences.ids))
        pointer = self.models.pointer(shop)
        champion = None if pointer is None else self._recipe(shop, pointer.model_id)
        trained = train(given.sequences, given.tokens, champion, lambda: remaining_ms() > RESERVE * total)
        chances = _calibrated(given.events, given.exposures, trained.model.recipe)
        model = replace(trained.model, calibration=None if chances is None else chances.calibration)
        trained = replace(trained, model=model)
        scorer = scorer_onnx(model)
        items = item_table(model, given.parents, given.unavailable, now)
        probes = probes_of(model, scorer)
        parent = None if pointer is None else pointer.model_id
        champion_file = None if parent is None else partial(self.models.read, shop, parent)
        lists = compared(champion_file, given.sequences, trained, given.unavailable)
        found = checks(
            probes=passes(reference_run(scorer), probes),
            ranking=trained.is_better_than_nothing or pointer is None,
            new=lists.breadth,
            old=lists.before,
            is_popularity=bool(trained.metrics.get("is_popularity")),
            limits=self.limits if pointer is not None else replace(self.limits, coverage=0.0),
        )
        good = all(one["passed"] for one in found)
        metrics = {
            **trained.metrics,
            "calibration": _believed(chances),
            "breadth": lists.breadth,
            "breadth_before": lists.before,
            "drift": lists.drift,
            "gate": {"passed": good, "checks": found},
        }
        manifest = _manifest(shop, now, given, trained, files={SCORER: scorer, ITEMS: items}, probes=probes)
        lineage = {"parent": parent, "recipe": _origin(trained, champion)}
        manifest = replace(manifest, metrics=metrics, lineage=lineage)
        report = report_html(manifest, lists.shown)
        manifest = replace(manifest, files=dict(sorted({**manifest.files, **digests({REPORT: report})}.items())))
        seconds = round(time.perf_counter() - began, 3)
        peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        manifest = replace(manifest, resources={"seconds": seconds, "peak_mib": peak})
        self.models.write(shop, manifest.model_id, SCORER, scorer)
        self.models.write(shop, manifest.model_id, ITEMS, items)
        self.models.write(shop, manifest.model_id, REPORT, report)
        self.models.write(shop, manifest.model_id, MANIFEST, orjson.dumps(manifest.to_record()))
        promoted = good and offer(self.models, shop, manifest.model_id, now)
        log.info("%s: model %s written, promoted: %s", shop, manifest.model_id, promoted)
        return answer | {
            "model_id": manifest.model_id,
            "promoted": promoted,
            "users": given.users,
            "items": len(given.sequences.ids),
            "metrics": metrics,
            "seconds": seconds,
        }

    def _waits(self, newest: Manifest) -> bool:
        """Return whether a good model is not served yet, because its run was killed before it moved the pointer."""
        if not newest.metrics["gate"]["passed"]:
            return False
        pointer = self.models.pointer(newest.shop)
        return pointer is None or (pointer.model_id < newest.model_id and not pointer.pinned)

    def _recipe(self, shop: str, model_id: str) -> Recipe | None:
        """Return a model's recipe; None if the model is not there any more."""
        try:
            return Recipe.from_record(read_manifest(self.models, shop, model_id).settings["recipe"])
        except FileNotFoundError:
            return None

    def _newest(self, shop: str) -> Manifest | None:
        ids = self.models.models(shop)
        return read_manifest(self.models, shop, ids[0]) if ids else None


def _manifest(
    shop: str, now: int, given: Given, trained: Trained, *, files: Mapping[str, bytes], probes: tuple[Probe, ...]
) -> Manifest:
    """Return the manifest, but for inputs and resources; the id sorts by time and ends in a hash of the files."""
    calibration = trained.model.calibration
    digest = digests(files)
    moment = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return Manifest(
        model_id=f"{moment}-{digest_of(digest.values())[:8]}",
        shop=shop,
        created=now,
        code_version=VERSION,
        serving=serving_of(trained.model, exclude_seen=trained.exclude_seen),
        files=digest,
        probes=probes,
        inputs=given.inputs,
        settings={
            "recipe": trained.model.recipe.to_record(),
            "scale": trained.model.scale,
            "calibration": None if calibration is None else calibration.to_record(),
            "trace": list(trained.trace),
        },
        metrics=trained.metrics,
    )


def _origin(trained: Trained, champion: Recipe | None) -> str:
    """Return where the recipe comes from."""
    if trained.metrics.get("is_popularity"):
        return "popularity: nothing foretold better"
    if champion is not None and trained.model.recipe == champion:
        return "the champion's"
    return "tuned on validation" if trained.trace else "as Beckon comes"


def _calibrated(events: Any, exposures: Any, recipe: Recipe) -> Fitted | None:
    """Return the probability's calibration, None until enough seen slots were acted on."""
    if not set(POSITIVE_TYPES) & set(events.column("type").unique().to_pylist()):
        return None
    return fit_probability(seen_slots(exposures, events, recipe.event_weights))


def _believed(chances: Fitted | None) -> dict[str, Any] | None:
    """Return how far the held-out chances can be believed, by segment; the losses are nats a slot."""
    if chances is None:
        return None
    segments = [one.to_record() for one in by_segment(chances.slots, chances.held)]
    return {"method": chances.calibration.method, "log_loss": dict(chances.calibration.losses), "segments": segments}
