from functools import cache
from types import SimpleNamespace

import numpy as np
import orjson
import pyarrow as pa
import pytest

from beckon.artefact.integrity import digests
from beckon.artefact.model import ITEMS, MANIFEST, SCORER, Manifest
from beckon.learning import model as learnt
from beckon.learning.chances import Calibration
from beckon.learning.export import scorer_onnx
from beckon.learning.model import Histories, describe, fit
from beckon.learning.packaging import item_table, probes_of, serving_of
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import sequences_from
from beckon.ranking.loading import load
from beckon.ranking.model import Request
from beckon.ranking.ports import Inputs, Scorer
from beckon.ranking.rank import rank
from beckon.ranking.scorer import BrokenModel, OnnxScorer
from tests.ranking_graph import graph
from tests.ranking_shop import (
    IDS,
    NOW,
    PARTS,
    SERVING,
    SHOP,
    TOKENS,
    FakeModels,
    NumpyScorer,
    assortment,
    changed,
    event,
)


@cache
def real() -> OnnxScorer:
    return OnnxScorer.open(graph())


@pytest.fixture(params=["fake", "real"])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return NumpyScorer() if request.param == "fake" else real()


def inputs(history=(), weight=(), need=(0, 0, 0), allow=(True,) * 6, extra=(), k=6) -> Inputs:
    return Inputs(
        np.array(history, np.int64),
        np.array(weight, np.float32),
        np.array(need, np.float32),
        np.array(allow, np.bool_),
        np.array(extra, np.float32).reshape(-1, 3),
        k,
    )


def test_without_history_or_need_the_prior_decides(scorer: Scorer) -> None:
    scores = scorer.score(inputs())
    assert scores.items.tolist() == [2, 5, 0, 1, 3, 4]
    assert scores.score == pytest.approx([0.3, 0.2, 0.1, 0.05, 0.04, 0.03])


def test_each_part_of_the_score_stands_in_its_own_column(scorer: Scorer) -> None:
    scores = scorer.score(inputs(history=[1, 3], weight=[1.0, 0.25], need=[0, 0, 4], k=2))
    assert scores.items.tolist() == [4, 1]
    scarf, cap = scores.reasons
    assert scarf == pytest.approx([4.5, 0.0, 2.0, 0.03], abs=1e-6)
    assert cap == pytest.approx([0.5, 0.625, 2.0, 0.05], abs=1e-6)


def test_parts_sum_to_scores(scorer: Scorer) -> None:
    scores = scorer.score(
        inputs(
            history=[1, 3, 5, 1], weight=[1.0, 0.7, 0.3, 0.1], need=[0.3, 0.1, 2], extra=[[0, 1, 0], [0.6, 0, 0.8]], k=8
        )
    )
    assert scores.reasons.shape == (8, 6)
    assert scores.reasons.sum(axis=1) == pytest.approx(scores.score, abs=1e-5)


def test_padding_in_the_history_says_nothing(scorer: Scorer) -> None:
    plain, padded = scorer.score(inputs([1], [1.0])), scorer.score(inputs([1, -1], [1.0, 0.0]))
    assert plain.items.tolist() == padded.items.tolist()
    assert plain.score == pytest.approx(padded.score)


def test_what_is_not_allowed_is_not_answered_and_there_is_no_padding(scorer: Scorer) -> None:
    scores = scorer.score(inputs(allow=[False, True, False, True, False, False]))
    assert scores.items.tolist() == [1, 3]
    assert np.isfinite(scores.score).all()
    assert np.isnan(scores.probability).all()


def test_newer_items_follow_the_models_own_and_are_scored_by_content(scorer: Scorer) -> None:
    scores = scorer.score(inputs(history=[0], weight=[1.0], extra=[[1, 0, 0], [0, 1, 0]], k=8))
    place = {item: at for at, item in enumerate(scores.items.tolist())}
    assert scores.score[place[7]] == pytest.approx(0.5)
    assert scores.score[place[6]] == pytest.approx(0.0)
    assert scores.reasons[place[7]] == pytest.approx([0.5, 0, 0])


def test_nothing_but_newer_items_can_be_answered(scorer: Scorer) -> None:
    scores = scorer.score(inputs(history=[0], weight=[1.0], allow=[False] * 6, extra=[[0, 1, 0]], k=1))
    assert scores.items.tolist() == [6]


def test_equal_scores_come_by_index(scorer: Scorer) -> None:
    scores = scorer.score(inputs(extra=[[0, 1, 0], [1, 0, 0], [0, 0, 1]], k=9))
    assert scores.items.tolist()[6:] == [6, 7, 8]


def test_a_calibrated_graph_gives_probabilities() -> None:
    scores = OnnxScorer.open(graph(calibration=Calibration.of_score(2.0, -1.0))).score(inputs(k=1))
    assert scores.probability == pytest.approx([1 / (1 + np.exp(-(2 * 0.3 - 1)))])


def test_real_and_fake_make_the_same_lists() -> None:
    stock = assortment(parents=("foot", "cap", "coat", "glove", "scarf", "foot")).after(
        [changed("sandal", categories=("feet",)), changed("clog", categories=("feet", "head"), available=False)]
    )
    history = [event("cap", "click"), event("boot"), event("cap", "cart"), event("glove")]
    asked = [
        Request("home", 3),
        Request("home", 50, exclude=frozenset({"scarf"})),
        Request("trending", 4),
        Request("similar", 5, item="boot"),
        Request("cart", 5, items=("glove", "boot")),
        Request("rerank", 4, items=("clog", "sofa", "sock", "boot")),
    ]
    for request in asked:
        mine = rank(request, history, SERVING, stock, NumpyScorer())
        its = rank(request, history, SERVING, stock, real())
        assert [one.id for one in mine.items] == [one.id for one in its.items], request
        assert [one.score for one in mine.items] == pytest.approx([one.score for one in its.items], abs=1e-5)
        assert [[(r.kind, r.item) for r in one.reasons] for one in mine.items] == [
            [(r.kind, r.item) for r in one.reasons] for one in its.items
        ]


def test_a_graph_that_pads_its_answer_is_read_without_the_padding() -> None:
    class Padding:
        def get_inputs(self):
            return [SimpleNamespace(name="k", shape=[1]), SimpleNamespace(name="history", shape=["B", 3])]

        def run(self, _, feed):
            assert feed["history"].tolist() == [[1, -1, -1]]
            assert feed["k"].tolist() == [6]
            reasons = np.array([[[2.0, 0, 0, 0.5, 0.25], [1.0, 0, 0, 0, 0.125], [np.nan] * 5]])
            scores = np.array([[2.75, 1.125, -np.inf]])
            return np.array([[4, 2, -1]]), scores, np.full((1, 3), np.nan), reasons

    found = OnnxScorer(Padding()).score(inputs([1], [1.0]))
    assert found.items.tolist() == [4, 2]
    assert found.score.tolist() == [2.75, 1.125]
    assert found.reasons.tolist() == [[2.0, 0.5, 0.25], [1.0, 0.0, 0.125]]


@pytest.mark.parametrize("content", [b"", b"no graph", graph()[:2_000], graph()[:-100], b"\0" * 5_000])
def test_bytes_that_are_no_graph_are_a_broken_model(content: bytes) -> None:
    with pytest.raises(BrokenModel, match="does not load"):
        OnnxScorer.open(content)


def test_a_graph_with_other_inputs_is_a_broken_model() -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    made = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [value], [out])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(BrokenModel, match="are needed"):
        OnnxScorer.open(model.SerializeToString())


def test_what_learning_writes_ranking_serves_and_places_new_items_alike() -> None:
    tokens = {
        name: [f"category={TOKENS[part]}", *(["soft=True"] if part else [])]
        for name, part in zip(IDS, PARTS, strict=True)
    }
    events = [("a", "boot"), ("a", "sock"), ("b", "boot"), ("b", "sock"), ("b", "cap"), ("c", "cap"), ("c", "scarf")]
    table = pa.table(
        {
            "user_key": [user for user, _ in events],
            "item": [item for _, item in events],
            "type": ["view"] * len(events),
            "ts": [NOW + place for place, _ in enumerate(events)],
        }
    )
    recipe = Recipe()
    sequences = sequences_from(table, IDS, recipe.event_weights)
    model = fit(sequences, describe(sequences.ids, tokens, recipe), recipe)
    files = {SCORER: scorer_onnx(model), ITEMS: item_table(model, {"sock": "boot"}, ["coat"], NOW)}
    serving = serving_of(model, exclude_seen=False)
    manifest = Manifest("m1", SHOP, NOW, "test", serving, digests(files), probes_of(model, files[SCORER]))
    store = FakeModels()
    for name, content in {**files, MANIFEST: orjson.dumps(manifest.to_record())}.items():
        store.write(SHOP, "m1", name, content)

    loaded = load(store, OnnxScorer.open, SHOP, "m1")
    stock = loaded.assortment
    for at, name in enumerate(stock.ids):
        assert stock.content.vector(tokens[name]) == pytest.approx(model.content.dense[at], abs=1e-6)
    ranking = rank(
        Request("home", 9), [event("cap", ago=1), event("boot", ago=2)], loaded.serving, stock, loaded.scorer
    )
    own = learnt.scores(model, Histories(np.array([[1, 0]]), np.ones((1, 2), np.float32)))[0]
    best = sorted((name for name in IDS if name not in ("coat", "sock")), key=lambda name: -own[IDS.index(name)])
    if own[IDS.index("sock")] > own[IDS.index("boot")]:
        best = ["sock" if name == "boot" else name for name in best]
    assert {one.id for one in ranking.items} == set(best)
    for one in ranking.items:
        assert one.score == pytest.approx(own[IDS.index(one.id)], abs=1e-5)
        assert sum(reason.part for reason in one.reasons) == pytest.approx(one.score, abs=1e-5)
