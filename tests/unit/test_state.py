"""What a run leaves for the next: read on from if whole, not read at all if not; and what is cleared away."""

from types import SimpleNamespace

import orjson
import pytest

from beckon.artefact.model import MANIFEST, SCORER, Pointer
from beckon.artefact.registry import Registry
from beckon.lake.following import follow
from beckon.learning import state
from beckon.learning.clearing import LEFT_BEHIND_MS, Cleared, clear
from beckon.learning.service import Retraining
from beckon.learning.state import STATE, Known, load, save
from beckon.values import DAY_MS
from tests.ingest_fakes import MemoryLake
from tests.learning_shop import NOW, SHOP, VISITS, CatalogueOf, MemoryLeases, events_table, item, put
from tests.ranking_shop import FakeModels

COLUMNS = ("user_key", "ts", "message_id", "item")


class Counting(MemoryLake):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def read(self, key: str) -> bytes:
        self.opened.append(key)
        return super().read(key)


@pytest.fixture
def service() -> Retraining:
    lake = Counting()
    put(lake, events_table(VISITS))
    return Retraining(lake, CatalogueOf([item("a")]), FakeModels(), MemoryLeases(), lambda: (), models_kept=3)


def run(service, day=0, **more):
    service.models.clock = NOW + day * DAY_MS
    return service.retrain(SHOP, "run", NOW + day * DAY_MS, lambda: 900_000, **more)


def manifest(service):
    return orjson.loads(service.models.read(SHOP, service.models.models(SHOP)[0], MANIFEST))


def states(service):
    return sorted(name for _, folder, name in service.models.kept if folder == STATE)


def test_the_second_run_opens_only_what_came_since_the_first(service) -> None:
    run(service)
    assert len(service.lake.opened) == 1
    new = put(service.lake, events_table({"zoe": "ab"}), "3-4")
    service.lake.opened.clear()
    assert run(service, 1)["rows"] == 30
    assert service.lake.opened == [new]
    assert (manifest(service)["inputs"]["files"], manifest(service)["inputs"]["files_opened"]) == (2, 1)
    assert manifest(service)["inputs"]["rows_opened"] == 2


@pytest.mark.parametrize("damage", ["index gone", "index altered", "rows gone", "rows altered", "not named"])
def test_a_state_that_is_not_whole_is_not_used_and_the_model_is_the_same(service, damage, caplog) -> None:
    run(service)
    name = manifest(service)["inputs"][STATE]
    [rows] = [one for one in states(service) if one != name]
    wanted = service.models.read(SHOP, service.models.models(SHOP)[0], SCORER)
    place = (SHOP, STATE, rows if damage.startswith("rows") else name)
    if damage.endswith("gone"):
        del service.models.kept[place]
    elif damage.endswith("altered"):
        service.models.kept[place] += b" "
    else:
        newest = (SHOP, service.models.models(SHOP)[0], MANIFEST)
        record = orjson.loads(service.models.kept[newest])
        del record["inputs"][STATE]
        service.models.kept[newest] = orjson.dumps(record)
    service.lake.opened.clear()
    done = run(service, 1, force=True)
    assert len(service.lake.opened) == 1
    assert service.models.read(SHOP, done["model_id"], SCORER) == wanted
    assert ("the lake is read whole" in caplog.text) == (damage != "not named")


def test_a_state_of_another_version_or_of_other_columns_is_not_used(monkeypatch) -> None:
    lake, models = MemoryLake(), FakeModels()
    put(lake, events_table(VISITS))
    newest = SimpleNamespace(inputs={STATE: save(models, SHOP, follow(lake, SHOP, COLUMNS))})
    assert len(load(models, SHOP, newest, COLUMNS).segments) == 1
    assert load(models, SHOP, newest, (*COLUMNS, "type")) == Known()
    monkeypatch.setattr(state, "LAYOUT", "another")
    assert load(models, SHOP, newest, COLUMNS) == Known()


def test_a_run_writes_its_new_rows_and_not_the_old_ones_again(service) -> None:
    run(service)
    first = set(states(service))
    put(service.lake, events_table({"zoe": "ab"}), "3-4")
    run(service, 0.5)
    added = set(states(service)) - first
    assert len(added) == 2  # an index, and a segment of the two new rows
    assert min(len(service.models.kept[SHOP, STATE, name]) for name in added) < 3_000
    assert len(load(service.models, SHOP, SimpleNamespace(**manifest(service)), state_columns(service)).segments) == 2


def test_small_segments_are_merged_so_that_there_are_few(service) -> None:
    for n in range(20):
        put(service.lake, events_table({f"p{n}": "ab"}), f"{n}-x")
        run(service, n / 100)
    assert len(load(service.models, SHOP, SimpleNamespace(**manifest(service)), state_columns(service)).segments) <= 6


def state_columns(service):
    index = orjson.loads(service.models.read(SHOP, STATE, manifest(service)["inputs"][STATE]))
    return tuple(index["columns"])


def test_the_state_of_the_newest_model_stays_and_older_ones_go_after_a_day(service) -> None:
    run(service)
    old = set(states(service))
    service.lake.objects.clear()
    put(service.lake, events_table({"zoe": "ab"}), "3-4")
    run(service, 0.9)
    assert old < set(states(service))
    assert run(service, 1.1)["cleared"] == 2
    assert not old & set(states(service))
    put(service.lake, events_table({"yan": "ab"}), "5-6")
    service.lake.opened.clear()
    run(service, 9)
    assert len(service.lake.opened) == 1  # the state was there, though a week old


# ── clearing ──


def model(models: FakeModels, n: int, *, whole: bool = True) -> str:
    name = f"202601{n:02}T000000Z-aaaaaaaa"
    models.write(SHOP, name, SCORER, b"x")
    if whole:
        record = {
            "model_id": name,
            "shop": SHOP,
            "created": NOW,
            "code_version": "0",
            "serving": {
                "history_length": 5,
                "recency": 0.5,
                "event_weights": {},
                "dense": 1,
                "exclude_seen": False,
            },
            "files": {},
            "probes": [],
        }
        models.write(SHOP, name, MANIFEST, orjson.dumps(record))
    return name


def test_the_newest_models_stay_and_those_the_pointer_names() -> None:
    models = FakeModels()
    names = [model(models, n) for n in range(1, 9)]
    models.move(SHOP, Pointer(names[1], NOW, previous=names[3], pinned=True), None)
    assert clear(models, SHOP, NOW, 3) == Cleared(models=3)
    assert models.models(SHOP) == [names[7], names[6], names[5], names[3], names[1]]
    assert not [key for key in models.kept if key[1] in {names[0], names[2], names[4]}]
    assert clear(models, SHOP, NOW, 3) == Cleared()


def test_a_model_that_is_promoted_while_others_are_cleared_stays() -> None:
    models = FakeModels()
    names = [model(models, n) for n in range(1, 5)]
    delete = models.delete

    def promoted_meanwhile(shop: str, model_id: str, name: str) -> None:
        delete(shop, model_id, name)
        Registry(models).promote(shop, names[0], NOW)

    models.delete = promoted_meanwhile  # type: ignore[method-assign]
    clear(models, SHOP, NOW, 1)
    assert names[0] in models.models(SHOP)


def test_a_folder_without_manifest_goes_once_it_is_a_day_old() -> None:
    models = FakeModels()
    model(models, 1)
    half = model(models, 2, whole=False)
    assert clear(models, SHOP, NOW + LEFT_BEHIND_MS, 3) == Cleared()
    assert clear(models, SHOP, NOW + LEFT_BEHIND_MS + 1, 3) == Cleared(unfinished=1)
    assert not [key for key in models.kept if key[1] == half]


def test_a_clearing_killed_at_any_deletion_lists_only_whole_models_and_is_ended_by_the_next() -> None:
    for at in range(4):
        models = FakeModels()
        names = [model(models, n) for n in range(1, 4)]
        left, delete = [at], models.delete

        def mortal(shop: str, model_id: str, name: str, left=left, delete=delete) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            delete(shop, model_id, name)

        models.delete = mortal  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            clear(models, SHOP, NOW, 1)
        for name in models.models(SHOP):
            assert models.read(SHOP, name, SCORER)
        models.delete = delete  # type: ignore[method-assign]
        clear(models, SHOP, NOW + 2 * DAY_MS, 1)
        assert {key[1] for key in models.kept} == {names[2]}


def test_shops_without_models_have_nothing_to_clear() -> None:
    assert clear(FakeModels(), SHOP, NOW, 3) == Cleared()
