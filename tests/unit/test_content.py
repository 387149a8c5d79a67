"""Content vectors, the dense space, and the cosine that the whole of it rests on."""

import numpy as np
import pytest

from beckon.learning import content
from beckon.learning.content import content_of, cosines, leading_directions
from beckon.learning.recipe import Recipe
from tests.learning_shop import ITEMS, TOKENS, Oracle


def test_the_golden_example_ranks_three_one_two() -> None:
    user = np.array([0.5, 0.3, 0.4, 0.2])
    items = np.array([[0.5, 0.3, 0.2, 0.1], [0.6, 0.2, 0.1, 0.1], [0.4, 0.3, 0.4, 0.2]])
    found = cosines(user, items)
    np.testing.assert_allclose(found, [0.9588, 0.8819, 0.9940], atol=5e-5)
    assert (np.argsort(-found) + 1).tolist() == [3, 1, 2]


def test_a_vector_without_length_is_like_nothing() -> None:
    assert cosines(np.zeros(3), np.ones((2, 3))).tolist() == [0.0, 0.0]
    assert cosines(np.ones(3), np.array([[0.0, 0, 0], [2, 2, 2]])).tolist() == [0.0, pytest.approx(1.0)]


def test_likeness_is_that_of_idf_weighted_rows_of_unit_length() -> None:
    found = content_of(ITEMS, TOKENS, 64)
    full = np.zeros((len(ITEMS), len(found.vocabulary)))
    full[found.rows.row_of_cell(), found.rows.columns] = found.rows.values
    oracle = Oracle({}, dict.fromkeys(ITEMS, ()) | TOKENS, Recipe(), 1.0)
    wanted = np.array([[oracle.alike(i, j) for j in ITEMS] for i in ITEMS])
    np.testing.assert_allclose(full @ full.T, wanted, atol=1e-6)


def test_with_dimensions_enough_the_dense_space_loses_nothing() -> None:
    found = content_of(ITEMS, TOKENS, 64)
    full = np.zeros((len(ITEMS), len(found.vocabulary)))
    full[found.rows.row_of_cell(), found.rows.columns] = found.rows.values
    np.testing.assert_allclose(found.dense @ found.dense.T, full @ full.T, atol=1e-4)  # directions have 5 decimals


def test_a_newer_item_of_the_same_tokens_lies_where_its_twin_lies() -> None:
    found = content_of(ITEMS, TOKENS, 2)
    weights = dict(zip(found.vocabulary, found.idf.tolist(), strict=True))
    own = np.array([weights[t] if t in TOKENS["c"] else 0.0 for t in found.vocabulary])
    twin = own / np.linalg.norm(own) @ found.directions
    np.testing.assert_allclose(found.dense[ITEMS.index("c")], twin, atol=1e-6)


def test_large_matrices_get_the_directions_that_small_ones_get(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    tokens = {f"i{n:02}": tuple(f"t{t}" for t in set(generator.zipf(1.5, 4).clip(max=30))) for n in range(60)}
    rows = content_of(sorted(tokens), tokens, 5).rows
    exact = leading_directions(rows, 5)
    monkeypatch.setattr(content, "EXACT_TOKENS", 0)
    np.testing.assert_allclose(leading_directions(rows, 5), exact, atol=1e-6)


def test_every_direction_has_its_largest_component_positive() -> None:
    directions = content_of(ITEMS, TOKENS, 4).directions
    assert (directions[np.abs(directions).argmax(axis=0), np.arange(4)] > 0).all()


def test_a_shop_without_content_has_one_empty_dimension() -> None:
    found = content_of(("a", "b"), {}, 64)
    assert found.dense.tolist() == [[0.0], [0.0]]
    assert (found.vocabulary, found.directions.shape) == ((), (0, 1))


def test_a_token_that_every_item_has_says_nothing() -> None:
    found = content_of(("a", "b"), {"a": ("shop=north", "size=1"), "b": ("shop=north", "size=2")}, 64)
    assert found.vocabulary == ("size=1", "size=2")
