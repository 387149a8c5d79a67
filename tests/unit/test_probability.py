"""A probability from the graph to the answer: the same number by loops, by numpy, by the graph and after ranking."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from beckon.artefact.model import Chances, Serving
from beckon.learning.chances import HISTORY_STARTS, POSITION_STARTS, Calibration
from beckon.ranking.model import Request
from beckon.ranking.probability import finished
from beckon.ranking.rank import rank
from tests.ranking_graph import graph
from tests.ranking_shop import SERVING, NumpyScorer, assortment, event

CURVED = Calibration(
    method="bent",
    scores=(0.1, 0.25, 0.7, 2.0),
    odds=(-3.0, -1.5, -1.4, 4.0),
    slopes=(0.4, 1.3, 1.0, 0.0, 0.7),
    offsets=(-0.5, 0.2, 0.3, -1.1, 0.9),
    positions=(0.6, 0.1, -0.4, -0.9, -1.6),
    surfaces={"home": (1.2, -0.3), "similar": (0.0, -2.5)},
)


def by_hand(score, history, position, surface="cart"):
    """The equation in words, without a step function or a bend."""
    points = list(zip(CURVED.scores, CURVED.odds, strict=True))
    pairs = list(pairwise(points))
    (x0, y0), (x1, y1) = next((pair for pair in pairs if score <= pair[1][0]), pairs[-1])
    f = y0 + (y1 - y0) * (score - x0) / (x1 - x0)
    band = max(n for n, start in enumerate(HISTORY_STARTS) if history >= start)
    place = max(n for n, start in enumerate(POSITION_STARTS) if position >= start)
    z = CURVED.slopes[band] * f + CURVED.offsets[band] + CURVED.positions[place]
    a, b = CURVED.surfaces.get(surface, (1.0, 0.0))
    return 1 / (1 + math.exp(-(a * z + b)))


def chances():
    return Chances(CURVED.surfaces, POSITION_STARTS, CURVED.positions)


@pytest.mark.parametrize("surface", ["home", "similar", "cart"])
def test_numpy_gives_what_the_equation_says(surface) -> None:
    grid = [(s, h, p) for s in (-0.4, 0.1, 0.3, 0.7, 1.9, 3.5) for h in (0, 2, 5, 15, 40) for p in (1, 2, 4, 10, 30)]
    scores, history, positions = (np.array(column) for column in zip(*grid, strict=True))
    found = CURVED.chances(scores, history, positions, np.full(len(grid), surface))
    np.testing.assert_allclose(found, [by_hand(*one, surface) for one in grid], rtol=1e-9)


@pytest.mark.parametrize("length", [0, 1, 3, 4])
def test_the_graph_knows_score_history_and_place(length) -> None:
    evaluator = ReferenceEvaluator(graph(calibration=CURVED))
    history = np.array([[0, 3, 0, 2][:length] + [-1, 99, -1, -1][: 6 - length]])
    feed = {
        "history": history,
        "weight": np.full(history.shape, 0.8, dtype=np.float32),
        "need": np.zeros((1, 3), dtype=np.float32),
        "allow": np.ones((1, 6), dtype=np.bool_),
        "extra": np.array([[1, 0, 0]], dtype=np.float32),
        "k": np.array(7),
    }
    score, probability = (one[0].tolist() for one in evaluator.run(["score", "probability"], feed))
    wanted = [by_hand(one, length, place) for place, one in enumerate(score, start=1)]
    np.testing.assert_allclose(probability, wanted, rtol=2e-5)


def test_ranking_ends_with_the_surface_and_the_final_position() -> None:
    for place, position, surface, score, length in [
        (1, 1, "home", 0.6, 2),
        (7, 3, "home", 0.6, 2),
        (12, 2, "cart", 0.3, 0),
        (4, 4, "similar", 1.1, 1),
    ]:
        from_graph = float(CURVED.chances(*(np.array([x]) for x in (score, length, place)), np.array(["none"]))[0])
        found = finished(from_graph, place, position, surface, chances())
        assert found == pytest.approx(by_hand(score, length, position, surface), rel=1e-6)


def test_impossible_and_certain_chances_stay_numbers_and_nothing_is_done_without_calibration() -> None:
    for chance in (0.0, 1.0):
        assert 0 < finished(chance, 1, 9, "home", chances()) < 1
    assert finished(0.25, 3, 1, "home", None) == 0.25


class Certain(NumpyScorer):
    """The fake with probabilities as the graph would give them."""

    def score(self, inputs):
        found = super().score(inputs)
        size, places = np.full(len(found.items), len(inputs.history)), np.arange(1, len(found.items) + 1)
        z = CURVED.log_odds(found.score, size, places)
        return replace(found, probability=(1 / (1 + np.exp(-z))).astype(np.float32))


@pytest.mark.parametrize("surface", ["home", "trending"])
def test_variants_that_were_left_out_do_not_move_the_position(surface) -> None:
    stock = assortment(parents=("foot", "cap", "coat", "glove", "scarf", "foot"))
    serving = replace(SERVING, chances=chances())
    ranking = rank(Request(surface, 6), [event("cap"), event("glove", "click")], serving, stock, Certain())
    length = 2 if surface == "home" else 0
    assert ranking.history == length
    assert len(ranking.items) < 6  # one variant is left out, so places and positions differ
    for position, one in enumerate(ranking.items, start=1):
        assert one.probability == pytest.approx(by_hand(one.score, length, position, surface), rel=1e-4)


def test_what_serving_knows_of_chances_survives_the_manifest() -> None:
    record = {
        "history_length": 3,
        "recency": 0.5,
        "event_weights": {"view": 1.0},
        "dense": 2,
        "exclude_seen": True,
    }
    assert Serving.from_record(record).chances is None  # a model of an older version
    more = {"surfaces": {"home": [1.5, -0.25]}, "position_starts": [1, 2], "positions": [0.5, -0.5]}
    found = Serving.from_record(record | {"chances": more, "from the future": 1}).chances
    assert found == Chances({"home": (1.5, -0.25)}, (1, 2), (0.5, -0.5))
