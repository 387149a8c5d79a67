"""Digests, probes, and the registry that moves a shop's pointer."""

import math

import orjson
import pytest

from beckon.artefact.integrity import digests, mismatches
from beckon.artefact.model import ITEMS, MANIFEST, SCORER, Manifest, Pointer, Probe, Serving
from beckon.artefact.probes import passes, score_or_none
from beckon.artefact.registry import Registry, offer
from beckon.values import Refused
from tests.ranking_shop import FakeModels

SHOP, NOW = "north", 1_790_000_000_000
OLD, MID, NEW = "20260101T000000Z-aaaaaaaa", "20260102T000000Z-bbbbbbbb", "20260103T000000Z-00000000"
PROBE = Probe({"k": 3}, [[4, 2, 7], [1, -1, -1]], [[3.0, 2.0, 1.0], [0.5, None, None]])


def manifest(model_id: str, files: dict[str, bytes] | None = None) -> Manifest:
    serving = Serving(50, 0.5, {"view": 1.0}, 4, exclude_seen=False)
    return Manifest(model_id, SHOP, NOW, "0", serving, digests(files or {}), (PROBE,))


@pytest.fixture
def store() -> FakeModels:
    kept = FakeModels()
    for one in (OLD, MID, NEW):
        kept.write(SHOP, one, MANIFEST, orjson.dumps(manifest(one).to_record()))
    return kept


def answers(items, scores):
    return lambda _: (items, scores)


def test_files_that_are_missing_or_altered_are_named() -> None:
    made = manifest(OLD, {SCORER: b"graph", ITEMS: b"items"})
    assert mismatches({SCORER: b"graph", ITEMS: b"items", "more": b""}, made) == ()
    assert mismatches({SCORER: b"grape"}, made) == (ITEMS, SCORER)


@pytest.mark.parametrize(
    ("items", "scores", "answer"),
    [
        ([[4, 2, 7], [1, -1, -1]], [[3.0, 2.0, 1.0], [0.5, -math.inf, -math.inf]], True),
        ([[4, 2, 7], [1, -1, -1]], [[3.0002, 2.0, 1.0], [0.5, -math.inf, -math.inf]], True),  # another order of adding
        ([[4, 2, 7], [1, -1, -1]], [[3.01, 2.0, 1.0], [0.5, -math.inf, -math.inf]], False),
        ([[2, 4, 7], [1, -1, -1]], [[3.0, 2.0, 1.0], [0.5, -math.inf, -math.inf]], False),
        ([[4, 2, 9], [1, -1, -1]], [[3.0, 2.0, 1.0], [0.5, -math.inf, -math.inf]], True),  # a tie at the end
        ([[4, 2, 7], [1, 3, -1]], [[3.0, 2.0, 1.0], [0.5, 0.1, -math.inf]], False),
        ([[4, 2, 7], [-1, -1, -1]], [[3.0, 2.0, 1.0], [-math.inf] * 3], False),
        ([[4, 2], [1, -1]], [[3.0, 2.0], [0.5, -math.inf]], False),
        ([[4, 2, 7]], [[3.0, 2.0, 1.0]], False),
        ([[4, 2, 7], [1, -1, -1]], [[math.nan, 2.0, 1.0], [0.5, -math.inf, -math.inf]], False),
    ],
)
def test_a_probe_passes_only_with_its_items_and_scores(items, scores, answer) -> None:
    assert passes(answers(items, scores), (PROBE,)) is answer


def test_a_model_without_probes_does_not_pass() -> None:
    assert not passes(answers([], []), ())


def test_scores_that_json_cannot_say_are_none() -> None:
    assert [score_or_none(one) for one in (1.5, -math.inf, math.nan)] == [1.5, None, None]


def test_the_registry_lists_models_newest_first_and_which_serves(store) -> None:
    store.move(SHOP, Pointer(MID, NOW, pinned=True), None)
    listed = Registry(store).models(SHOP)
    assert [(one.manifest.model_id, one.serves, one.pinned) for one in listed] == [
        (NEW, False, False),
        (MID, True, True),
        (OLD, False, False),
    ]
    assert [one.manifest.model_id for one in Registry(store).models(SHOP, most=1)] == [NEW, MID]


def test_promoting_an_older_model_pins_it_and_the_newest_frees_it(store) -> None:
    registry = Registry(store)
    registry.promote(SHOP, NEW, NOW)
    assert (store.pointer(SHOP).model_id, store.pointer(SHOP).pinned) == (NEW, False)
    registry.promote(SHOP, OLD, NOW + 1)
    found = store.pointer(SHOP)
    assert (found.model_id, found.previous, found.pinned, found.moved) == (OLD, NEW, True, NOW + 1)
    registry.promote(SHOP, NEW, NOW + 2)
    assert (store.pointer(SHOP).model_id, store.pointer(SHOP).pinned) == (NEW, False)


def test_promoting_twice_is_promoting_once(store) -> None:
    registry = Registry(store)
    registry.promote(SHOP, MID, NOW)
    registry.promote(SHOP, OLD, NOW + 1)
    once = store.pointer(SHOP)
    assert registry.promote(SHOP, OLD, NOW + 2) == once == store.pointer(SHOP)


def test_rolling_back_pins_the_model_before_and_unpinning_keeps_it(store) -> None:
    registry = Registry(store)
    registry.promote(SHOP, OLD, NOW)
    registry.promote(SHOP, NEW, NOW)
    assert registry.roll_back(SHOP, NOW).model_id == OLD
    assert store.pointer(SHOP).pinned
    freed = registry.unpin(SHOP, NOW)
    assert (freed.model_id, freed.previous, freed.pinned) == (OLD, NEW, False)


@pytest.mark.parametrize(
    "ask",
    [
        lambda r: r.promote(SHOP, "20250101T000000Z-cccccccc", NOW),
        lambda r: r.manifest(SHOP, "../../other"),
        lambda r: r.promote("south", NEW, NOW),
        lambda r: r.roll_back(SHOP, NOW),
        lambda r: r.unpin(SHOP, NOW),
    ],
)
def test_a_model_the_shop_does_not_have_is_not_found(store, ask) -> None:
    with pytest.raises(Refused) as refused:
        ask(Registry(store))
    assert refused.value.code == "not-found"


def test_a_fresh_model_is_offered_but_never_over_a_pin_or_a_newer_one(store) -> None:
    assert offer(store, SHOP, MID, NOW)
    assert not offer(store, SHOP, MID, NOW)
    assert not offer(store, SHOP, OLD, NOW)
    assert offer(store, SHOP, NEW, NOW + 1)
    assert (store.pointer(SHOP).model_id, store.pointer(SHOP).previous) == (NEW, MID)
    Registry(store).promote(SHOP, MID, NOW)
    assert not offer(store, SHOP, NEW, NOW)
    assert store.pointer(SHOP).model_id == MID


class Rival(FakeModels):
    """A store whose pointer somebody else moves, once, between reading and moving it."""

    def __init__(self, rival: Pointer) -> None:
        super().__init__()
        self.rival: Pointer | None = rival

    def move(self, shop, pointer, expected_etag):
        if self.rival is not None:
            rival, self.rival = self.rival, None
            super().move(shop, rival, expected_etag)
        return super().move(shop, pointer, expected_etag)


def test_a_pin_that_came_meanwhile_is_respected() -> None:
    store = Rival(Pointer(OLD, NOW, pinned=True))
    assert not offer(store, SHOP, NEW, NOW)
    assert store.pointer(SHOP).model_id == OLD


def test_a_move_that_came_meanwhile_becomes_the_forerunner() -> None:
    store = Rival(Pointer(OLD, NOW))
    assert offer(store, SHOP, NEW, NOW)
    assert (store.pointer(SHOP).model_id, store.pointer(SHOP).previous) == (NEW, OLD)
