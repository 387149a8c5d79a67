"""Directed counts and the rows made of them."""

from dataclasses import replace

import numpy as np
import pytest

from beckon.learning.counts import FIXED_POINT, MOST_SAID, directed_counts, row_scale, transition_rows
from beckon.learning.model import describe, fit
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import SparseRows
from tests.learning_shop import TOKENS, VISITS, Oracle, sequences

RECIPE = Recipe(pair_window=20)


def dense(rows: SparseRows) -> np.ndarray:
    full = np.zeros((len(rows.starts) - 1, rows.width))
    full[rows.row_of_cell(), rows.columns] = rows.values
    return full


def counted(visits: dict[str, str], recipe: Recipe = RECIPE) -> dict[int, int]:
    found = sequences(visits)
    cells, counts = directed_counts(found.users, found.items, len(found.ids), recipe)
    return dict(zip(cells.tolist(), counts.tolist(), strict=True))


def test_rows_agree_with_loops_over_every_pair_of_every_person() -> None:
    found = sequences()
    model = fit(found, describe(found.ids, TOKENS, RECIPE), RECIPE)
    oracle = Oracle(VISITS, TOKENS, RECIPE, model.scale)
    wanted = np.array([[oracle.neighbour(i, j) for j in found.ids] for i in found.ids])
    np.testing.assert_allclose(dense(model.rows), wanted, rtol=3e-6, atol=3e-7)
    assert not np.allclose(wanted, wanted.T)


def test_a_loop_is_counted_once_a_person_at_its_strongest() -> None:
    assert counted({"dan": "cecececece"}) == counted({"dan": "cece"})


def test_what_came_before_is_told_from_what_came_after() -> None:
    one, other = counted({"ann": "ab"}), counted({"ann": "ba"})
    assert one != other
    assert list(one.values()) == [FIXED_POINT]


def test_people_can_be_subtracted_without_a_trace() -> None:
    everybody, rest = counted(VISITS), counted({p: v for p, v in VISITS.items() if p != "gus"})
    gus = counted({"gus": VISITS["gus"]})
    names = sorted(set("".join(VISITS.values())) | set(TOKENS))
    assert len(names) == 8  # both are over the same items, so cells have the same numbers
    n_gus = sorted(set(VISITS["gus"]) | set(TOKENS))
    renumbered = {
        names.index(n_gus[cell // len(n_gus)]) * 8 + names.index(n_gus[cell % len(n_gus)]): count
        for cell, count in gus.items()
    }
    left = {cell: count - renumbered.get(cell, 0) for cell, count in everybody.items()}
    assert {cell: count for cell, count in left.items() if count} == rest


def test_pairs_beyond_the_window_do_not_count() -> None:
    near = counted({"ann": "abcd"}, replace(RECIPE, pair_window=1))
    assert len(near) == 3
    assert set(near.values()) == {FIXED_POINT}


def test_many_people_in_chunks_count_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = counted(VISITS)
    monkeypatch.setattr("beckon.learning.counts.PAIRS_AT_ONCE", 3)
    assert counted(VISITS) == whole


def test_half_powers_on_undirected_counts_are_the_cosine_of_item_vectors() -> None:
    # Without decay and direction a pair's count is how many people met both, and d_j how many met j.
    recipe = Recipe(source_power=0.5, target_power=0.5, backward=1.0, pair_decay=1.0)
    visits = {"ann": "abc", "bob": "ab", "cat": "bd", "dan": "b"}
    found = sequences(visits)
    model = fit(found, describe(found.ids, {}, recipe), recipe)
    met = np.array([[float(i in visits[p]) for i in found.ids] for p in sorted(visits)])
    lengths = np.maximum(np.linalg.norm(met, axis=0), 1e-9)
    cosine = (met.T @ met) / np.outer(lengths, lengths)
    np.fill_diagonal(cosine, 0.0)
    np.testing.assert_allclose(dense(model.rows), cosine, atol=1e-6)


def test_rows_keep_their_strongest_cells() -> None:
    found = sequences()
    cells, counts = directed_counts(found.users, found.items, len(found.ids), RECIPE)
    degrees = np.ones(len(found.ids))
    full = dense(transition_rows(cells, counts, degrees, RECIPE))
    cut = dense(transition_rows(cells, counts, degrees, replace(RECIPE, row_cells=2)))
    for whole, kept in zip(full, cut, strict=True):
        assert np.count_nonzero(kept) == min(2, np.count_nonzero(whole))
        np.testing.assert_allclose(np.sort(kept)[-2:], np.sort(whole)[-2:])


def test_the_scale_is_the_median_over_events_of_their_items_strong_cells() -> None:
    rows = SparseRows.from_cells(np.array([0, 0, 1, 2]), np.array([1, 2, 0, 0]), np.array([4.0, 2.0, 1.0, 9.0]), (3, 3))
    # Means of the top 10: .6, .1, .9; nine of ten events are of item 0.
    assert row_scale(rows, np.array([9, 1, 0])) == pytest.approx(0.6)
    assert row_scale(SparseRows.from_cells(*(np.empty(0, int),) * 3, (3, 3)), np.zeros(3)) == 1.0


def test_nobody_speaks_louder_than_some_dozens_of_items() -> None:
    """Two of each other's pairs are as far apart as before; only their sum is held down."""
    names = [chr(0x4E00 + n) for n in range(400)]
    found = counted({"bot": "".join(names)}, Recipe())
    first, size = len(TOKENS), len(TOKENS) + len(names)  # the place of the first name, behind the catalogue's
    assert sum(found.values()) == pytest.approx(MOST_SAID * FIXED_POINT, rel=1e-4)
    assert found[first * size + first + 1] / found[first * size + first + 2] == pytest.approx(
        1 / Recipe().pair_decay, rel=1e-3
    )
    shopper = counted({"ann": "".join(names[:30])}, Recipe())
    assert max(shopper.values()) == FIXED_POINT
