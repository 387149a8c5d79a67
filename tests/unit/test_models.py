from dataclasses import replace

import pytest

from beckon.ranking.loading import load
from beckon.ranking.models import CHECK_MS, OVERDUE_MS, Models
from beckon.ranking.scorer import BrokenModel
from tests.ranking_shop import BREAKS, NOW, SHOP, AtOnce, FakeModels, Later, NumpyScorer, point, write_model


def numpy_scorer(content: bytes) -> NumpyScorer:
    return NumpyScorer()


def models(store: FakeModels, background=None, capacity: int = 10**9) -> Models:
    return Models(store, numpy_scorer, background or AtOnce(), capacity)


def serving(held: Models, now: int = NOW, shop: str = SHOP) -> str | None:
    model, _ = held.current(shop, now)
    return None if model is None else model.model_id


@pytest.fixture
def store() -> FakeModels:
    store = FakeModels()
    write_model(store, "m1")
    point(store, "m1")
    return store


def test_a_shop_without_a_model_gets_its_first_one_with_the_next_request() -> None:
    store = FakeModels()
    held = models(store)
    assert serving(held) is None
    write_model(store, "m1")
    point(store, "m1")
    assert serving(held, NOW + 1) == "m1"


def test_the_pointer_is_asked_for_at_most_every_half_minute(store: FakeModels) -> None:
    held = models(store)
    store.asked.clear()
    for second in range(0, 61, 3):
        serving(held, NOW + second * 1_000)
    assert len(store.asked) == 1 + 2  # the first request, then after 30 and 60 seconds


def test_a_new_model_is_loaded_beside_the_old_one_which_goes_on_serving(store: FakeModels) -> None:
    frozen = Later()
    held = models(store, frozen)
    assert serving(held) == "m1"
    write_model(store, "m2")
    point(store, "m2", previous="m1")
    assert serving(held, NOW + CHECK_MS) == "m1"
    assert serving(held, NOW + CHECK_MS + 1) == "m1"
    assert len(frozen.work) == 1  # asked for once, however many requests go by
    frozen.thaw()
    assert serving(held, NOW + CHECK_MS + 2) == "m2"


def test_a_check_that_never_ends_is_waited_for_once(store: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr("beckon.ranking.models.wait", lambda _, timeout: waited.append(timeout))
    held = models(store, Later())
    for now in (NOW, NOW + CHECK_MS, NOW + CHECK_MS + OVERDUE_MS, NOW + CHECK_MS + OVERDUE_MS + 1):
        assert serving(held, now) == "m1"
    assert len(waited) == 1


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_model_never_serves_and_the_log_says_why(store: FakeModels, broken: str) -> None:
    held = models(store)
    serving(held)
    write_model(store, "m2", broken=broken)
    point(store, "m2", previous="m1")
    model, report = held.current(SHOP, NOW + CHECK_MS)
    assert model is not None
    assert model.model_id == "m1"
    assert report["model_refused"].startswith("m2: ")


@pytest.mark.parametrize("broken", BREAKS)
def test_a_new_container_serves_the_model_before_a_broken_one(store: FakeModels, broken: str) -> None:
    write_model(store, "m2", broken=broken)
    point(store, "m2", previous="m1")
    model, report = models(store).current(SHOP, NOW)
    assert model is not None
    assert model.model_id == "m1"
    assert report["model_refused"].startswith("m2: ")


def test_a_model_that_was_half_written_serves_once_it_is_whole(store: FakeModels) -> None:
    held = models(store)
    serving(held)
    write_model(store, "m2", broken="no manifest")
    point(store, "m2", previous="m1")
    assert serving(held, NOW + CHECK_MS) == "m1"
    write_model(store, "m2")
    model, report = held.current(SHOP, NOW + 2 * CHECK_MS)
    assert model is not None
    assert model.model_id == "m2"
    assert report == {}


def test_a_broken_first_model_serves_nothing_and_is_tried_again_after_half_a_minute() -> None:
    store = FakeModels()
    write_model(store, "m1", broken="wrong hash")
    point(store, "m1")
    held = models(store)
    for later in (0, 1, CHECK_MS - 1):
        model, report = held.current(SHOP, NOW + later)
        assert model is None
        assert "sha256" in report["model_refused"]
    assert len(store.asked) == 2  # the test's own, and one look
    write_model(store, "m1")
    assert serving(held, NOW + CHECK_MS) == "m1"


def test_a_store_that_fails_leaves_the_old_model_serving_and_is_asked_again(store: FakeModels) -> None:
    held = models(store)
    serving(held)
    write_model(store, "m2")
    point(store, "m2")
    store.fault = ConnectionError("S3 is away")
    model, report = held.current(SHOP, NOW + CHECK_MS)
    assert model is not None
    assert (model.model_id, report) == ("m1", {"model_check": "ConnectionError"})
    store.fault = None
    assert serving(held, NOW + 2 * CHECK_MS) == "m2"


def test_a_store_that_fails_at_the_first_request_raises() -> None:
    store = FakeModels()
    store.fault = ConnectionError("S3 is away")
    with pytest.raises(ConnectionError):
        models(store).current(SHOP, NOW)


def test_going_back_to_the_model_before_is_a_swap_like_any_other(store: FakeModels) -> None:
    write_model(store, "m2")
    point(store, "m2", previous="m1")
    held = models(store)
    assert serving(held) == "m2"
    point(store, "m1", previous="m2")
    assert serving(held, NOW + CHECK_MS) == "m1"


def test_the_least_recently_used_shop_is_dropped_when_bytes_run_out(store: FakeModels) -> None:
    for shop in ("south", "west"):
        write_model(store, "m1", shop=shop)
        point(store, "m1", shop=shop)
    held = models(store, capacity=2 * load(store, numpy_scorer, SHOP, "m1").size)
    serving(held, shop=SHOP)
    serving(held, shop="south")
    serving(held, shop=SHOP)
    serving(held, shop="west")
    store.asked.clear()
    assert serving(held, shop=SHOP) == "m1"
    assert store.asked == []
    assert serving(held, shop="south") == "m1"
    assert store.asked == ["south"]


def test_a_model_larger_than_the_room_for_all_serves_alone(store: FakeModels) -> None:
    assert serving(models(store, capacity=1)) == "m1"


def test_a_probe_may_be_answered_with_equal_scores_in_another_order(store: FakeModels) -> None:
    class Tied(NumpyScorer):
        def score(self, inputs):
            scores = super().score(inputs)
            flat = replace(scores, score=scores.score * 0 + 1)
            return replace(flat, items=flat.items[::-1]) if self.scale == 0 else flat

    write_model(store, "m2", scorer=Tied())
    assert load(store, lambda _: Tied(scale=0), SHOP, "m2").model_id == "m2"


def test_a_probe_answered_with_the_right_scores_for_the_wrong_items_is_refused(store: FakeModels) -> None:
    class Swapped(NumpyScorer):
        def score(self, inputs):
            scores = super().score(inputs)
            return replace(scores, items=scores.items[::-1])

    with pytest.raises(BrokenModel, match="answers the probes otherwise"):
        load(store, lambda _: Swapped(), SHOP, "m1")


def test_a_model_that_answers_nan_is_refused(store: FakeModels) -> None:
    class Lost(NumpyScorer):
        def score(self, inputs):
            scores = super().score(inputs)
            return replace(scores, score=scores.score * float("nan"))

    with pytest.raises(BrokenModel, match="answers the probes otherwise"):
        load(store, lambda _: Lost(), SHOP, "m1")
