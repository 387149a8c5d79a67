from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from beckon.ranking.model import Request, Served, new_rec_id
from beckon.ranking.models import Models
from beckon.ranking.service import NO_MODEL, REFUSED_MODEL, Recommending
from beckon.values import DAY_MS, stranger_key
from tests.ranking_shop import (
    MADE,
    NOW,
    SERVING,
    SHOP,
    TREND,
    AtOnce,
    FakeCatalogue,
    FakeExposures,
    FakeHistory,
    FakeModels,
    NumpyScorer,
    changed,
    event,
    point,
    write_model,
)


class World:
    def __init__(self, *events, serving=SERVING, model: bool = True) -> None:
        self.store = FakeModels()
        if model:
            write_model(self.store, "m1", serving=serving)
            point(self.store, "m1")
        self.history, self.catalogue, self.exposures = FakeHistory(*events), FakeCatalogue(), FakeExposures()
        models = Models(self.store, lambda _: NumpyScorer(), AtOnce(), 10**9)
        self.service = Recommending(
            models, self.history, self.catalogue, self.exposures, 180 * DAY_MS, ThreadPoolExecutor(2)
        )

    def ask(self, *user_keys: str, surface="home", shop=SHOP, now=NOW, rec_id="r1", k=10, **more) -> Served:
        return self.service.recommend(shop, user_keys, Request(surface, k, **more), rec_id, now)


def names(served: Served) -> list[str]:
    return [one.id for one in served.ranking.items]


def test_a_click_one_request_ago_changes_the_list() -> None:
    world = World()
    assert names(world.ask("ann"))[0] == "coat"
    world.history.put(event("cap", "click", ago=0))
    assert names(world.ask("ann"))[0] == "scarf"


def test_both_identities_are_read_and_an_event_of_both_counts_once() -> None:
    both = event("glove", ago=1, message_id="same")
    world = World(event("boot", ago=2, user="anon"), both, replace(both, user_key="anon"))
    served = world.ask("ann", "anon", k=6)
    parts = {(one.id, r.item): r.part for one in served.ranking.items for r in one.reasons}
    assert parts["cap", "glove"] == pytest.approx(2.5)
    assert parts["sock", "boot"] == pytest.approx(0.5 * 5.5)
    assert served.log["history"] == 2


def test_a_history_is_newest_first_across_identities() -> None:
    events = [event("boot", ago=3), event("cap", ago=2, user="anon"), event("glove", ago=1)]
    served = World(*events).ask("ann", "anon", k=6)
    glove = {r.item: r.part for r in next(o for o in served.ranking.items if o.id == "cap").reasons}
    assert glove["glove"] == pytest.approx(2.5)


def test_what_was_served_is_kept_with_its_surface_policy_and_places() -> None:
    world = World(event("cap"))
    served = world.ask("ann", "anon", k=2, rec_id="r7")
    (kept,) = world.exposures.kept
    assert (kept.shop, kept.rec_id, kept.user_key, kept.model_id, kept.ts) == (SHOP, "r7", "ann", "m1", NOW)
    assert (kept.surface, kept.policy) == ("home", "personal")
    assert kept.history == 1
    assert [(slot.item, slot.position) for slot in kept.slots] == [("scarf", 1), ("coat", 2)]
    assert [slot.score for slot in kept.slots] == [one.score for one in served.ranking.items]


def test_a_strangers_list_is_kept_where_its_rec_id_finds_it() -> None:
    world = World()
    world.ask(rec_id="r8")
    (kept,) = world.exposures.kept
    assert kept.user_key == stranger_key(SHOP, "r8")
    assert (kept.policy, kept.history) == ("trending", 0)
    assert world.history.asked == []


def test_nothing_is_answered_that_could_not_be_kept() -> None:
    world = World()
    world.exposures.fault = ConnectionError("the table is away")
    with pytest.raises(ConnectionError):
        world.ask("ann")


def test_without_a_model_the_answer_is_empty_and_says_what_to_do() -> None:
    world = World(model=False)
    served = world.ask("ann")
    assert served.to_record() | {"rec_id": ""} == {
        "rec_id": "",
        "model_id": None,
        "variant": None,
        "surface": "home",
        "items": [],
        "note": NO_MODEL,
    }
    assert len(world.exposures.kept) == 1


def test_a_model_that_may_not_serve_leaves_an_empty_answer_that_says_so() -> None:
    world = World(model=False)
    write_model(world.store, "m1", broken="failing probe")
    point(world.store, "m1")
    served = world.ask("ann")
    assert served.ranking.note == REFUSED_MODEL
    assert "answers the probes otherwise" in served.log["model_refused"]


def test_an_item_taken_off_sale_is_gone_with_the_next_request() -> None:
    world = World()
    assert "coat" in names(world.ask())
    world.catalogue.lines.append((SHOP, changed("coat", available=False)))
    assert "coat" not in names(world.ask())
    world.catalogue.lines.append((SHOP, changed("coat", ago=0, available=True)))
    assert "coat" in names(world.ask())


def test_a_change_that_appears_late_is_not_missed() -> None:
    world = World()
    world.catalogue.lines.append((SHOP, changed("sock", ago=1, available=False)))
    world.ask()
    world.catalogue.lines.append((SHOP, changed("coat", ago=29, available=False)))  # written by a slow function
    assert names(world.ask()) == ["boot", "cap", "glove", "scarf"]


def test_the_change_log_is_read_from_the_models_catalogue_on_and_then_from_the_last_read() -> None:
    world = World()
    world.catalogue.lines.append((SHOP, changed("sock", ago=100)))
    world.ask()
    world.ask()
    assert world.catalogue.asked == [MADE - 30_000, NOW - 30_000]


@pytest.mark.parametrize("surface", ["similar", "cart", "trending"])
def test_a_history_that_changes_nothing_is_not_read(surface: str) -> None:
    needed = {"similar": {"item": "boot"}, "cart": {"items": ("boot",)}}.get(surface, {})
    world = World(event("cap"))
    world.ask("ann", surface=surface, **needed)
    assert world.history.asked == []


def test_it_is_read_for_any_list_where_nobody_buys_twice() -> None:
    world = World(event("sock"), serving=replace(SERVING, exclude_seen=True))
    assert "sock" not in names(world.ask("ann", surface="similar", item="boot"))
    assert "sock" not in names(world.ask("ann", surface="trending"))


def test_two_shops_are_blind_to_each_other() -> None:
    world = World(event("cap"))
    write_model(world.store, "m1", shop="south")
    point(world.store, "m1", shop="south")
    world.catalogue.lines.append((SHOP, changed("coat", available=False)))
    assert names(world.ask("ann", shop="south")) == TREND
    assert names(world.ask("ann", shop="south"))[0] == "coat"
    assert world.service.recommend("west", ("ann",), Request("home", 3), "r", NOW).ranking.note == NO_MODEL


def test_the_log_line_has_what_an_operator_asks_for_and_no_one_persons_data() -> None:
    served = World(event("cap", user="ann")).ask("ann", k=2)
    assert {
        "model_id",
        "surface",
        "policy",
        "items",
        "history",
        "ms_model",
        "ms_gather",
        "ms_rank",
        "ms_exposure",
    } == set(served.log)
    assert (served.log["items"], served.log["history"], served.log["model_id"]) == (2, 1, "m1")


def test_a_rec_id_sorts_by_time_and_is_short() -> None:
    earlier, later = new_rec_id(NOW, b"\xff" * 10), new_rec_id(NOW + 1, b"\0" * 10)
    assert earlier < later
    assert len(later) <= 40
    with pytest.raises(ValueError, match="entropy"):
        new_rec_id(NOW, b"short")


def test_the_answer_has_positions_from_one_and_reasons_without_empty_fields() -> None:
    record = World(event("cap")).ask("ann", k=2).to_record()
    assert [one["position"] for one in record["items"]] == [1, 2]
    first = record["items"][0]
    assert first["probability"] is None
    assert first["adjustments"] == {}
    assert [set(reason) for reason in first["reasons"]] == [{"kind", "part", "item"}, {"kind", "part"}]
    assert "note" not in record
