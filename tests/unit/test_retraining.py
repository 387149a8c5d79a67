"""Retraining a shop end to end in memory: what it makes of any lake, and that nothing half-made ever serves."""

import time
from types import SimpleNamespace

import numpy as np
import orjson
import pyarrow as pa
import pytest

from beckon.artefact.integrity import mismatches
from beckon.artefact.model import ITEMS, MANIFEST, REPORT, SCORER, ItemTable, Manifest, Pointer
from beckon.artefact.registry import Registry
from beckon.catalog.ports import Change
from beckon.conversions.model import Exposure, Slot
from beckon.learning import service as learning_service
from beckon.learning import training
from beckon.learning.comparison import Compared
from beckon.learning.recipe import Recipe
from beckon.learning.service import GRACE_MS, Retraining
from beckon.values import DAY_MS
from tests.ingest_fakes import MemoryLake
from tests.learning_shop import (
    NOW,
    SHOP,
    TOKENS,
    VISITS,
    CatalogueOf,
    MemoryLeases,
    events_table,
    exposures_table,
    item,
    put,
)
from tests.ranking_shop import FakeModels

A_LOT = 900_000


class Killed(BaseException):
    """The container is gone."""


class Mortal(FakeModels):
    """A store whose process is killed at its n-th write (a move is one)."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def _one_more(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def write(self, *args):
        self._one_more()
        super().write(*args)

    def move(self, *args):
        self._one_more()
        return super().move(*args)


def shop(lake=None, catalogue=None, models=None, leases=None, known=()):
    return Retraining(
        lake=MemoryLake() if lake is None else lake,
        catalogue=catalogue or CatalogueOf(),
        models=models or FakeModels(),
        leases=leases or MemoryLeases(),
        known_shops=lambda: known,
    )


def lake_of(visits=VISITS, **more):
    lake = MemoryLake()
    put(lake, events_table(visits, **more))
    return lake


def catalogue_of(names="abch", **more):
    return CatalogueOf([item(name, categories=TOKENS[name][-1:], **more) for name in names])


def run(service, now=NOW, **more):
    return service.retrain(SHOP, "run-1", now, lambda: A_LOT, **more)


def manifest_of(service, model_id):
    return Manifest.from_record(orjson.loads(service.models.read(SHOP, model_id, MANIFEST)))


def items_of(service, model_id):
    return ItemTable.from_record(orjson.loads(service.models.read(SHOP, model_id, ITEMS)))


def follows(people: int) -> dict[str, str]:
    """Visits in which the next item depends on the last alone: a→b→c→…, from a start of one's own."""
    ring = "abcdefghijklmnop"
    return {f"p{n:03}": (ring * 2)[n % 16 : n % 16 + 6] for n in range(people)}


def test_a_first_model_is_complete_and_serves() -> None:
    service = shop(lake_of(), catalogue_of())
    done = run(service)
    assert (done["promoted"], done["rows"], done["users"], done["items"]) == (True, 28, 7, 8)
    assert service.models.pointer(SHOP).model_id == done["model_id"]
    assert done["model_id"].startswith("20260921T141320Z-")
    found = manifest_of(service, done["model_id"])
    files = {name: service.models.read(SHOP, done["model_id"], name) for name in (SCORER, ITEMS, REPORT)}
    assert mismatches(files, found) == ()
    assert found.inputs["rows"] == 28
    assert found.inputs["from"] < found.inputs["to"]
    assert found.settings["recipe"]["recency"] == found.serving.recency
    assert set(found.metrics) >= {"holdout", "popularity", "last_item", "protocol"}
    assert found.resources["seconds"] > 0
    assert found.resources["peak_mib"] > 0
    assert (found.serving.history_length, found.serving.exclude_seen) == (50, False)
    table = items_of(service, done["model_id"])
    assert table.ids == tuple("abcdefgh")
    assert len(table.directions[0]) == found.serving.dense
    assert len(table.directions) == len(table.vocabulary)


def test_the_same_lake_makes_the_same_bytes() -> None:
    one, other = (shop(lake_of(), catalogue_of()) for _ in range(2))
    first, second = run(one), run(other)
    assert first["model_id"] == second["model_id"]
    for name in (SCORER, ITEMS):
        assert one.models.read(SHOP, first["model_id"], name) == other.models.read(SHOP, second["model_id"], name)


def test_nothing_new_is_no_run_unless_asked() -> None:
    service = shop(lake_of(), catalogue_of())
    first = run(service)
    again = run(service, now=NOW + DAY_MS)
    assert again["model_id"] is None
    assert first["model_id"] in again["note"]
    forced = run(service, now=NOW + DAY_MS, force=True)
    assert forced["model_id"] > first["model_id"]
    assert forced["promoted"]


def test_compaction_makes_nothing_new_but_an_event_does() -> None:
    lake = lake_of()
    service = shop(lake, catalogue_of())
    run(service)
    assert service.due() == []
    merged = put(lake, events_table(VISITS), "compact-1")
    assert service.due() == [SHOP]  # the names are new, what they hold is seen when read
    assert run(service, now=NOW + 1)["model_id"] is None
    lake.delete(merged)
    put(lake, events_table({"zoe": "ah"}), "3-4")
    assert run(service, now=NOW + DAY_MS)["rows"] == 30


def test_shops_are_due_by_events_or_by_catalogue_and_know_nothing_of_each_other() -> None:
    lake = lake_of()
    put(lake, events_table({"ann": "xy"}), shop="south")
    service = shop(lake, known=("north", "west"))
    assert service.due() == ["north", "south", "west"]
    done = run(service)
    assert items_of(service, done["model_id"]).ids == tuple("abcdefg")
    assert service.due() == ["south", "west"]
    service.catalogue.items["new"] = item("new", updated=NOW + 5)
    assert service.due() == ["north", "south", "west"]


def test_each_due_shop_is_started_by_itself() -> None:
    asked = []
    runs = SimpleNamespace(start=asked.append)
    assert shop(lake_of()).start_all(runs) == {"started": [SHOP]}
    assert asked == [SHOP]


def test_another_run_holds_the_shop_until_a_minute_after_its_deadline() -> None:
    leases = MemoryLeases()
    service = shop(lake_of(), leases=leases)
    assert leases.take(SHOP, "other", NOW, NOW + A_LOT + GRACE_MS)
    assert run(service)["note"] == "another run is training this shop"
    assert run(service, now=NOW + A_LOT + GRACE_MS + 1)["promoted"]
    assert leases.held == {}


@pytest.mark.parametrize("at", range(7))  # two files of the state, four of the model, the pointer
def test_killed_at_any_write_the_old_model_serves_and_the_next_run_finishes(at) -> None:
    models = Mortal(99)
    service = shop(lake_of({"ann": "abc", "bob": "ab"}), models=models)
    old = run(service)
    put(service.lake, events_table({"zoe": "bca"}), "3-4")
    models.left = at
    with pytest.raises(Killed):
        run(service, now=NOW + DAY_MS)
    assert models.pointer(SHOP).model_id == old["model_id"]
    assert manifest_of(service, models.models(SHOP)[0])  # what is listed is whole
    models.left = 99
    again = run(service, now=NOW + DAY_MS + 60_000, force=True)
    assert again["promoted"]
    assert models.pointer(SHOP).model_id == again["model_id"]


def test_a_run_killed_before_the_pointer_moved_is_finished_by_the_next() -> None:
    models = Mortal(99)
    service = shop(lake_of(), models=models)
    models.left = 6  # all files are written, the pointer is not moved
    with pytest.raises(Killed):
        run(service)
    assert models.pointer(SHOP) is None
    models.left = 99
    assert service.due() == [SHOP]
    done = run(service, now=NOW + 60_000)
    assert (done["model_id"], done["promoted"]) == (None, True)  # it was whole: nothing is trained again
    assert models.pointer(SHOP).model_id == models.models(SHOP)[0]
    assert service.due() == []


def test_a_pointer_to_a_model_that_is_gone_does_not_stop_training() -> None:
    service = shop(lake_of())
    service.models.move(SHOP, Pointer("20200101T000000Z-gone0000", NOW), None)
    assert run(service)["promoted"]


def test_a_pinned_model_goes_on_serving() -> None:
    service = shop(lake_of(), catalogue_of())
    first = run(service)
    Registry(service.models).promote(SHOP, first["model_id"], NOW, pinned=True)
    second = run(service, now=NOW + DAY_MS, force=True)
    assert second["model_id"] is not None
    assert not second["promoted"]
    assert service.models.pointer(SHOP).model_id == first["model_id"]


def test_a_model_worse_than_popularity_is_kept_but_not_promoted(monkeypatch) -> None:
    service = shop(lake_of(follows(200)))
    first = run(service)
    put(service.lake, events_table({"zoe": "ba"}), "3-4")
    monkeypatch.setattr(training, "popularity_ranks", lambda _, targets, **__: np.ones(len(targets), dtype=np.int64))
    monkeypatch.setattr(training, "model_ranks", lambda _, targets, **__: np.full(len(targets), 99))
    second = run(service, now=NOW + DAY_MS)
    assert (second["promoted"], service.models.pointer(SHOP).model_id) == (False, first["model_id"])
    assert second["model_id"] in service.models.models(SHOP)


def test_the_first_model_serves_even_if_popularity_is_better(monkeypatch) -> None:
    monkeypatch.setattr(training, "popularity_ranks", lambda _, targets, **__: np.ones(len(targets), dtype=np.int64))
    monkeypatch.setattr(training, "model_ranks", lambda _, targets, **__: np.full(len(targets), 99))
    assert run(shop(lake_of(follows(200))))["promoted"]


def test_the_holdout_is_foretold_where_the_next_item_depends_on_the_last() -> None:
    done = run(shop(lake_of(follows(300))))
    metrics = done["metrics"]
    assert metrics["holdout"]["targets"] >= 100
    assert metrics["holdout"]["recall_at_10"] == 1.0
    assert metrics["holdout"]["ndcg_at_10"] > 0.9
    assert metrics["popularity"]["ndcg_at_10"] < 0.5
    assert metrics["last_item"]["recall_at_10"] == 0.0
    assert metrics["holdout"]["repeat"]["targets"] == 0


def test_a_champions_recipe_is_kept_when_the_challenger_is_inferior(monkeypatch) -> None:
    service = shop(lake_of(follows(300)))
    first = run(service)
    good = manifest_of(service, first["model_id"]).settings["recipe"]
    put(service.lake, events_table({"zoe": "ba"}), "3-4")
    bad = Recipe(backward=1.0, source_power=3.0, recency=1.0, prior=50.0)
    monkeypatch.setattr(training, "tuned", lambda *_, **__: (bad, ()))
    second = run(service, now=NOW + DAY_MS)
    found = manifest_of(service, second["model_id"])
    assert second["promoted"]
    assert found.settings["recipe"] == good
    assert found.metrics["challenger"]["replaces"] is False
    assert found.metrics["champion"] == found.metrics["holdout"]


def test_a_catalogue_without_events_makes_a_model_of_content() -> None:
    service = shop(catalogue=catalogue_of())
    done = run(service)
    assert (done["promoted"], done["rows"], done["users"], done["items"]) == (True, 0, 0, 4)
    assert done["metrics"]["holdout"]["targets"] == 0
    assert manifest_of(service, done["model_id"]).inputs["from"] is None


def test_neither_events_nor_catalogue_is_no_model_and_says_so() -> None:
    service = shop()
    done = run(service)
    assert (done["model_id"], done["promoted"], done["rows"]) == (None, False, 0)
    assert "no items" in done["note"]
    assert service.models.pointer(SHOP) is None


@pytest.mark.parametrize(
    ("visits", "more"),
    [
        ({"ann": "a"}, {}),  # one item, one person
        ({"ann": "abcabc"}, {}),
        ({f"p{n}": "a" for n in range(120)}, {}),  # one item, many people
        ({f"p{n}": "ab" for n in range(120)}, {"step": 0}),  # all at one moment
        ({"ann": "ab"}, {"kind": "search"}),  # nothing that says anything about taste
    ],
)
def test_odd_lakes_make_models(visits, more) -> None:
    service = shop(lake_of(visits, **more), catalogue_of())
    assert run(service)["promoted"]


def test_a_person_of_a_hundred_thousand_events_is_survived() -> None:
    generator = np.random.default_rng(4)
    busy = "".join(chr(0x4E00 + n) for n in generator.integers(0, 2_000, 100_000))
    lake = lake_of(VISITS)
    put(lake, events_table({"bot": busy}, step=1), "5-6")
    service = shop(lake)
    began = time.perf_counter()
    assert run(service)["promoted"]
    assert time.perf_counter() - began < 60


def test_doubled_rows_count_once_and_corrupt_files_are_skipped_and_named() -> None:
    plain = shop(lake_of())
    lake = lake_of()
    put(lake, pa.concat_tables([events_table(VISITS)] * 2), "7-8")
    broken = put(lake, events_table({"zoe": "ab"}), "9-10")
    lake.objects[broken] = lake.objects[broken][: len(lake.objects[broken]) // 2]
    service = shop(lake)
    first, second = run(plain), run(service)
    assert second["rows"] == 28
    assert manifest_of(service, second["model_id"]).inputs["skipped"] == [broken]
    assert plain.models.read(SHOP, first["model_id"], SCORER) == service.models.read(SHOP, second["model_id"], SCORER)


def test_what_is_off_sale_or_deleted_is_marked_until_it_comes_back() -> None:
    catalogue = CatalogueOf([item("a"), item("b", available=False)], [Change("c", NOW - 10, None)])
    service = shop(lake_of(), catalogue)
    table = items_of(service, run(service)["model_id"])
    assert [table.ids[n] for n in table.unavailable] == ["b", "c"]
    catalogue.deleted.clear()  # the change log forgets
    table = items_of(service, run(service, now=NOW + DAY_MS, force=True)["model_id"])
    assert [table.ids[n] for n in table.unavailable] == ["b", "c"]
    catalogue.items["c"] = item("c")
    table = items_of(service, run(service, now=NOW + 2 * DAY_MS)["model_id"])
    assert [table.ids[n] for n in table.unavailable] == ["b"]
    assert table.catalogue_ts == NOW + 2 * DAY_MS


def test_variants_keep_their_parent() -> None:
    service = shop(lake_of({"ann": "ab"}), CatalogueOf([item("a", parent_id="shoe"), item("b")]))
    assert items_of(service, run(service)["model_id"]).parents == ("shoe", "b")


def test_seen_items_are_left_out_only_where_nobody_comes_back() -> None:
    once, few, again = shop(lake_of(follows(60))), shop(lake_of(follows(50))), shop(lake_of())
    assert manifest_of(once, run(once)["model_id"]).serving.exclude_seen
    assert not manifest_of(again, run(again)["model_id"]).serving.exclude_seen
    # Nobody came back there either, but 250 events that could be repeats are no evidence of less than one in 100.
    assert not manifest_of(few, run(few)["model_id"]).serving.exclude_seen


def test_probability_is_calibrated_once_enough_seen_slots_were_acted_on() -> None:
    lake = lake_of()
    people = [f"s{n:03}" for n in range(600)]
    shown = [
        Exposure(SHOP, f"r-{p}", p, "home", "beckon", "m", NOW, (Slot("a", 1, n % 3, n % 3), Slot("b", 2, 0.5, 0.5)))
        for n, p in enumerate(people)
    ]
    put(lake, exposures_table(shown), dataset="exposures")
    schema = events_table(VISITS).schema
    base = {"ts": NOW + 1, "received_ts": NOW, "item": "a"}
    rows = [base | {"message_id": f"v-{p}", "type": "impression", "user_key": p, "rec_id": f"r-{p}"} for p in people]
    acts = [p for n, p in enumerate(people) if n % 3 == 2 or n % 30 == 0]
    rows += [base | {"message_id": f"c-{p}", "type": "click", "user_key": p, "rec_id": f"r-{p}"} for p in acts]
    put(lake, pa.Table.from_pylist(rows, schema=schema), "11-12")
    service = shop(lake)
    found = manifest_of(service, run(service)["model_id"])
    assert found.settings["calibration"]["slopes"][0] > 0
    assert found.serving.chances.surfaces.keys() <= {"home"}
    believed = found.metrics["calibration"]
    assert believed["log_loss"][believed["method"]] < believed["log_loss"]["base"]
    assert believed["segments"][0]["slots"] == 600
    plain = shop(lake_of())
    assert manifest_of(plain, run(plain)["model_id"]).settings["calibration"] is None


def test_out_of_time_the_search_is_left_out_but_the_model_is_made() -> None:
    left = iter([A_LOT] * 3 + [1] * 99)
    service = shop(lake_of(follows(200)))
    done = service.retrain(SHOP, "run-1", NOW, lambda: next(left))
    assert done["promoted"]


def test_a_model_that_shows_everybody_the_same_is_kept_but_not_promoted(monkeypatch) -> None:
    service = shop(lake_of(follows(200)))
    first = run(service)
    put(service.lake, events_table({"zoe": "ba"}), "3-4")
    broad = {"lists": 200, "distinct": 90, "coverage": 0.4, "popularity": 9.0, "groups": [0.1] * 10}
    narrow = broad | {"coverage": 0.01, "popularity": 80.0}
    monkeypatch.setattr(learning_service, "compared", lambda *_: Compared(narrow, broad))
    second = run(service, now=NOW + DAY_MS)
    assert (second["promoted"], service.models.pointer(SHOP).model_id) == (False, first["model_id"])
    gate = manifest_of(service, second["model_id"]).metrics["gate"]
    failed = {one["check"] for one in gate["checks"] if not one["passed"]}
    assert failed == {"coverage", "coverage beside the champion", "popularity bias"}
    assert service.due() == []  # refused for good: nothing waits to be moved
    report = service.models.read(SHOP, second["model_id"], REPORT).decode()
    assert "did not pass" in report


def test_a_model_knows_its_parent_and_what_changed_since() -> None:
    service = shop(lake_of(follows(200)), catalogue_of())
    first = run(service)
    put(service.lake, events_table({"zoe": "bay", "yan": "yzb"}), "3-4")
    second = run(service, now=NOW + DAY_MS)
    found = manifest_of(service, first["model_id"])
    assert found.lineage["parent"] is None
    assert (found.metrics["drift"], found.metrics["breadth_before"]) == (None, None)
    after = manifest_of(service, second["model_id"])
    assert after.lineage["parent"] == first["model_id"]
    assert after.lineage["recipe"] in {"tuned on validation", "the champion's"}
    assert (after.metrics["drift"]["items_in"], after.metrics["drift"]["items_out"]) == (2, 0)  # y and z
    assert after.metrics["drift"]["overlap"] > 0.5
    assert after.metrics["breadth"]["lists"] > 100
    assert after.files.keys() == {SCORER, ITEMS, REPORT}
    assert first["model_id"] in service.models.read(SHOP, second["model_id"], REPORT).decode()


def test_a_report_names_nobody() -> None:
    people = {f"person-{n:03}": visits for n, visits in enumerate(follows(120).values())}
    service = shop(lake_of(people))
    report = service.models.read(SHOP, run(service)["model_id"], REPORT).decode()
    assert "person-" not in report
