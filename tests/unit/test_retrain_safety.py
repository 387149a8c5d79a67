"""Retraining survives what lakes really hold, and being killed: the run goes on, and a re-run makes the same model."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beckon.artefact.model import ITEMS, SCORER
from beckon.artefact.registry import Registry
from beckon.conversions.model import Exposure, Slot
from beckon.learning.state import STATE
from beckon.values import DAY_MS
from tests.learning_shop import NOW, SHOP, VISITS, events_table, exposures_table, put
from tests.unit.test_retraining import Killed, Mortal, catalogue_of, lake_of, manifest_of, run, shop


def written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def files(service, model_id):
    return [service.models.read(SHOP, model_id, name) for name in (SCORER, ITEMS)]


def test_last_years_files_are_read_with_todays() -> None:
    today = shop(lake_of(), catalogue_of())
    lake = lake_of({name: seen for name, seen in VISITS.items() if name > "c"})
    old = events_table({name: seen for name, seen in VISITS.items() if name < "c"})
    known = old.select(["message_id", "type", "user_key", "ts", "received_ts", "item"])  # before rec_id and the rest
    known = known.set_column(2, "user_key", known.column("user_key").dictionary_encode())  # as pandas writes categories
    key = put(lake, old, "0-0")
    lake.objects[key] = written(known.append_column("since_dropped", pa.array(["x"] * len(known))))
    mixed = shop(lake, catalogue_of())
    first, second = run(today), run(mixed)
    assert manifest_of(mixed, second["model_id"]).inputs["skipped"] == []
    assert second["rows"] == first["rows"]
    assert files(mixed, second["model_id"]) == files(today, first["model_id"])


def test_a_corrupt_file_of_exposures_is_left_out_and_the_run_goes_on() -> None:
    lake = lake_of({f"p{n}": "ab" for n in range(30)}, kind="purchase")
    shown = [Exposure(SHOP, f"r{n}", f"p{n}", "home", "beckon", "m", NOW, (Slot("a", 1, 0.5, 0.5),)) for n in range(9)]
    key = put(lake, exposures_table(shown), dataset="exposures")
    lake.objects[key] = lake.objects[key][:100]
    assert run(shop(lake))["promoted"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not Parquet at all" * 99])
def test_a_lake_of_nothing_but_corrupt_files_makes_no_model_or_one_of_the_catalogue(content) -> None:
    lake = lake_of()
    keys = list(lake.objects)
    for key in keys:
        lake.objects[key] = content
    assert run(shop(lake))["note"].startswith("no items")
    service = shop(lake, catalogue_of())
    done = run(service)
    assert (done["rows"], done["promoted"]) == (0, True)
    assert manifest_of(service, done["model_id"]).inputs["skipped"] == keys


@pytest.mark.parametrize("at", range(6))
def test_a_run_killed_at_any_write_and_run_again_makes_the_model_of_a_run_that_was_not(at) -> None:
    models = Mortal(99)
    killed, unharmed = shop(lake_of(), models=models), shop(lake_of())
    for service in (killed, unharmed):
        run(service)
        put(service.lake, events_table({"zoe": "bca"}), "3-4")
    models.left = at
    with pytest.raises(Killed):
        run(killed, now=NOW + DAY_MS)
    models.left = 99
    again, once = (run(one, now=NOW + 2 * DAY_MS, force=True) for one in (killed, unharmed))
    assert files(killed, again["model_id"]) == files(unharmed, once["model_id"])


def test_a_pinned_model_stays_however_many_are_trained_after_it() -> None:
    service = shop(lake_of(), catalogue_of())
    service.models.clock = NOW
    few = type(service)(
        service.lake, service.catalogue, service.models, service.leases, service.known_shops, models_kept=2
    )
    first = run(few)["model_id"]
    Registry(few.models).promote(SHOP, first, NOW, pinned=True)
    made = [run(few, now=NOW + n * DAY_MS, force=True)["model_id"] for n in range(1, 5)]
    assert few.models.models(SHOP) == [made[3], made[2], first]
    assert few.models.pointer(SHOP).model_id == first
    assert {key[1] for key in few.models.kept} == {made[3], made[2], first, STATE}
