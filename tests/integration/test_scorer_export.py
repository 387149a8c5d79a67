"""scorer.onnx under onnxruntime, against loops over names and against ONNX's own evaluator."""

import math
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from beckon.artefact.probes import passes
from beckon.learning import content
from beckon.learning.chances import Calibration
from beckon.learning.export import scorer_onnx
from beckon.learning.model import Histories, describe, fit, scores
from beckon.learning.packaging import ExportFault, probes_of, reference_run
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import sequences_from
from tests.learning_shop import TOKENS, VISITS, Oracle, events_table

RECIPE = Recipe(prior=0.2, repeat=0.5, content=0.8, recency=0.6)
OUTPUTS = ["items", "score", "probability", "reasons"]


def fitted(recipe=RECIPE, visits=VISITS, tokens=TOKENS):
    found = sequences_of(visits, tokens)
    return fit(found, describe(found.ids, tokens, recipe), recipe)


def sequences_of(visits, tokens):
    return sequences_from(events_table(visits), tokens, RECIPE.event_weights)


@pytest.fixture(params=["tokens in a dense table", "tokens as postings"])
def model(request, monkeypatch):
    """The model, its content exported in either of the two ways a graph has."""
    if request.param == "tokens as postings":
        monkeypatch.setattr(content, "COMMON_SHARE", 0)
    return fitted()


def inputs(model, histories, *, needs=None, allow=None, extra=(), k=10, recency=RECIPE.recency):
    length = max(len(h) for h in histories)
    items = np.full((len(histories), length), -1, dtype=np.int64)
    weight = np.zeros((len(histories), length), dtype=np.float32)
    for row, history in enumerate(histories):
        items[row, : len(history)] = [model.ids.index(one) for one in history]
        weight[row, : len(history)] = recency ** np.arange(len(history))
    dense = model.content.dense.shape[1]
    return {
        "history": items,
        "weight": weight,
        "need": np.array(np.zeros((len(histories), dense)) if needs is None else needs, dtype=np.float32),
        "allow": np.array(np.ones((len(histories), len(model.ids))) if allow is None else allow, dtype=np.bool_),
        "extra": np.array(extra, dtype=np.float32).reshape(-1, dense),
        "k": np.array(k, dtype=np.int64),
    }


def run(model, feed):
    session = onnxruntime.InferenceSession(scorer_onnx(model), providers=["CPUExecutionProvider"])
    return dict(zip(OUTPUTS, session.run(OUTPUTS, feed), strict=True))


def test_scores_and_reasons_are_those_of_loops_over_names(model) -> None:
    oracle = Oracle(VISITS, TOKENS, RECIPE, model.scale)
    history = "dacea"  # newest first; a twice, so that its square is seen
    found = run(model, inputs(model, [history], k=8))
    assert sorted(found["items"][0]) == list(range(8))
    for place, index in enumerate(found["items"][0]):
        item = model.ids[index]
        parts = [oracle.part(seen, item, age) for age, seen in enumerate(history)]
        np.testing.assert_allclose(found["reasons"][0, place, :5], parts, rtol=1e-5, atol=1e-6)
        assert found["reasons"][0, place, 5] == 0
        assert found["reasons"][0, place, 6] == model.prior[index]
        assert found["score"][0, place] == pytest.approx(sum(parts) + model.prior[index], rel=1e-5)
    assert (np.diff(found["score"][0]) <= 0).all()


def test_the_prior_is_the_decayed_number_of_people() -> None:
    recipe = replace(RECIPE, trend_half_life_ms=60_000)  # one step of the fixture
    model = fitted(recipe)
    newest = max(len(seen) - 1 + len(person) / 60_000 for person, seen in VISITS.items())
    wanted = [
        sum(0.5 ** (newest - VISITS[p].rindex(i) - len(p) / 60_000) for p in VISITS if i in VISITS[p])
        for i in model.ids
    ]
    wanted = np.array(wanted) / max(wanted)
    np.testing.assert_allclose(model.prior, wanted * recipe.prior * model.scale, rtol=1e-5)


def test_a_batch_is_scored_as_its_rows_alone(model) -> None:
    generator = np.random.default_rng(5)
    dense = model.content.dense.shape[1]
    histories, needs = ["a", "cba", "", "gfedcb"], generator.standard_normal((4, dense))
    allow = generator.random((4, 8)) < 0.6
    extra = generator.standard_normal((2, dense))
    together = run(model, inputs(model, histories, needs=needs, allow=allow, extra=extra))
    for row, history in enumerate(histories):
        alone = run(
            model, inputs(model, [history], needs=needs[row : row + 1], allow=allow[row : row + 1], extra=extra)
        )
        k = alone["items"].shape[1]
        np.testing.assert_array_equal(together["items"][row, :k], alone["items"][0])
        np.testing.assert_allclose(together["score"][row, :k], alone["score"][0], rtol=1e-5, atol=1e-6)
        assert (together["items"][row, k:] == -1).all()
        assert np.isneginf(together["score"][row, k:]).all()
        assert (together["reasons"][row, k:] == 0).all()


def test_reasons_add_up_to_scores_of_items_old_and_new(model) -> None:
    generator = np.random.default_rng(6)
    dense = model.content.dense.shape[1]
    feed = inputs(
        model,
        ["abcaab", "he"],
        needs=generator.standard_normal((2, dense)),
        extra=generator.standard_normal((3, dense)),
        k=11,
    )
    found = run(model, feed)
    assert found["reasons"].shape == (2, 11, 8)
    np.testing.assert_allclose(found["reasons"].sum(axis=2), found["score"], rtol=1e-5, atol=1e-6)
    for row in range(2):
        for place, index in enumerate(found["items"][row]):
            if index >= 8:
                vector = feed["extra"][index - 8]
                weight = feed["weight"][row] ** RECIPE.taste
                taste = weight @ model.content.dense[feed["history"][row]] if row == 0 else None
                if taste is not None:
                    wanted = model.content_scale * (taste + feed["need"][row]) @ vector
                    assert found["score"][row, place] == pytest.approx(wanted, rel=1e-4, abs=1e-6)
                assert found["reasons"][row, place, -1] == 0


def test_an_extra_item_scores_as_its_twin_but_for_what_people_did() -> None:
    model = fitted(replace(RECIPE, prior=0.0))
    twin = model.content.dense[model.ids.index("h")]  # nobody met h: it has content alone
    found = run(model, inputs(model, ["ca"], needs=[twin], extra=[twin], k=9))
    by_item = dict(zip(found["items"][0].tolist(), found["score"][0].tolist(), strict=True))
    assert by_item[8] == pytest.approx(by_item[7], rel=1e-3)
    assert by_item[8] > 0


def test_only_allowed_items_are_chosen_and_k_is_cut_to_them(model) -> None:
    allow = [[True, False, False, True, False, False, False, False]]
    found = run(model, inputs(model, ["abc"], allow=allow, k=5))
    assert sorted(found["items"][0]) == [0, 3]
    none = run(model, inputs(model, ["abc"], allow=np.zeros((1, 8), bool), k=5))
    assert none["items"].shape == (1, 0)
    assert none["reasons"].shape == (1, 0, 5)


@pytest.mark.parametrize("k", [0, -3])
def test_asking_for_nothing_gives_nothing(model, k) -> None:
    assert run(model, inputs(model, ["abc"], k=k))["items"].shape == (1, 0)


def test_a_stranger_gets_what_is_trending(model) -> None:
    feed = inputs(model, [""], k=3) | {"history": np.empty((1, 0), np.int64), "weight": np.empty((1, 0), np.float32)}
    found = run(model, feed)
    assert found["items"][0].tolist() == np.argsort(-model.prior, kind="stable")[:3].tolist()
    assert found["reasons"].shape == (1, 3, 2)


def test_equal_scores_come_by_item_id() -> None:
    model = fitted(replace(RECIPE, prior=0.0))
    assert run(model, inputs(model, [""], k=8))["items"][0].tolist() == list(range(8))


def test_padding_and_unknown_indices_change_nothing(model) -> None:
    feed = inputs(model, ["abc"])
    padded = feed | {
        "history": np.array([[-1, 0, 99, 1, 2, -1]]),
        "weight": np.array([[7.0, 1.0, 7.0, 0.6, 0.36, 7.0]], dtype=np.float32),
    }
    plain, found = run(model, feed), run(model, padded)
    np.testing.assert_array_equal(found["items"], plain["items"])
    np.testing.assert_allclose(found["score"], plain["score"], rtol=1e-6)
    assert (found["reasons"][0, :, [0, 2, 5]] == 0).all()


def test_probability_is_the_calibrated_curve_or_nothing(model) -> None:
    assert np.isnan(run(model, inputs(model, ["abc"]))["probability"]).all()
    found = run(replace(model, calibration=Calibration.of_score(2.0, -1.5)), inputs(model, ["abc"], k=3))
    wanted = [1 / (1 + math.exp(-(2.0 * score - 1.5))) for score in found["score"][0].tolist()]
    np.testing.assert_allclose(found["probability"][0], wanted, rtol=1e-5)


def test_onnx_says_the_same_in_its_own_evaluator(model) -> None:
    dense = model.content.dense.shape[1]
    feed = inputs(model, ["dace", "h"], needs=np.ones((2, dense)), extra=np.ones((1, dense)), k=5)
    ours = run(model, feed)
    found = ReferenceEvaluator(onnx.load_model_from_string(scorer_onnx(model))).run(OUTPUTS, feed)
    for name, theirs in zip(OUTPUTS, found, strict=True):
        np.testing.assert_allclose(theirs, ours[name], rtol=1e-5, atol=1e-6)


def test_the_graph_equals_the_plain_scorer_on_a_larger_shop() -> None:
    generator = np.random.default_rng(11)
    visits = {
        f"p{n:03}": "".join(chr(0x4E00 + i) for i in generator.zipf(1.3, int(generator.integers(1, 30))).clip(max=400))
        for n in range(150)
    }
    names = sorted(set("".join(visits.values())))
    tokens = {one: tuple({f"t{t}" for t in generator.zipf(1.6, 5).clip(max=90)}) for one in names[:-3]}
    found = sequences_of(visits, tokens)
    model = fit(found, describe(found.ids, tokens, RECIPE), RECIPE)
    histories = [visits[p][::-1][:12] for p in sorted(visits)[:40]]
    feed = inputs(model, histories, k=len(model.ids))
    result = run(model, feed)
    own = scores(model, Histories(feed["history"], (feed["history"] >= 0).astype(np.float32)))
    ordered = np.take_along_axis(own, result["items"], axis=1)
    np.testing.assert_allclose(result["score"], ordered, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result["reasons"].sum(axis=2), result["score"], rtol=1e-5, atol=1e-5)


def test_the_same_model_is_the_same_file() -> None:
    assert scorer_onnx(fitted()) == scorer_onnx(fitted())


@pytest.mark.parametrize(
    ("visits", "tokens"),
    [({"ann": "a"}, {}), ({"ann": "aa"}, {}), ({}, {"a": ("x=1",), "b": ("x=2",)}), ({}, {"a": ()})],
)
def test_the_smallest_shops_have_a_graph_that_runs(visits, tokens) -> None:
    found = sequences_of(visits, tokens)
    model = fit(found, describe(found.ids, tokens, RECIPE), RECIPE)
    result = run(model, inputs(model, ["a", ""], k=4))
    assert result["items"].shape == (2, len(model.ids))
    assert np.isfinite(result["score"]).all()
    assert passes(reference_run(scorer_onnx(model)), probes_of(model, scorer_onnx(model)))


def test_probes_hold_another_graph_off() -> None:
    model = fitted()
    probes = probes_of(model, scorer_onnx(model))
    assert passes(reference_run(scorer_onnx(model)), probes)
    assert not passes(reference_run(scorer_onnx(replace(model, scale=model.scale * 1.01))), probes)
    with pytest.raises(ExportFault):
        probes_of(replace(model, scale=model.scale * 1.01), scorer_onnx(model))
