"""What holds for any sparse matrix, and for counting in pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.learning import counts
from beckon.learning.counts import directed_counts
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import SparseRows, stable_order

# Few values, so that many tie.
matrices = st.lists(st.dictionaries(st.integers(0, 6), st.sampled_from([0.5, 1.0, 1.5, 2.0])), min_size=1, max_size=5)


@given(matrices, st.integers(1, 8))
def test_the_strongest_cells_are_those_that_sorting_each_row_gives(made, most) -> None:
    cells = [(row, column, value) for row, cells in enumerate(made) for column, value in sorted(cells.items())]
    rows, columns, values = (np.array(one) for one in zip(*cells, strict=True)) if cells else (np.empty(0, int),) * 3
    found = SparseRows.from_cells(rows, columns, values, (len(made), 7)).strongest(most)
    wanted = [
        (row, column, value)
        for row, cells in enumerate(made)
        for column, value in sorted(sorted(cells.items(), key=lambda one: (-one[1], one[0]))[:most])
    ]
    assert list(zip(found.row_of_cell().tolist(), found.columns.tolist(), found.values.tolist(), strict=True)) == wanted
    assert (len(found.starts), found.width) == (len(made) + 1, 7)


@given(st.lists(st.sampled_from([0, 1, 65_535, 65_536, 65_537, 2**20, 2**32 - 1]), max_size=30))
def test_the_stable_order_is_pythons(found) -> None:
    indices = np.array(found, dtype=np.int64)
    assert stable_order(indices).tolist() == sorted(range(len(found)), key=lambda place: found[place])


@pytest.mark.parametrize("pairs", [1, 20, 300])
def test_counting_in_pieces_gives_what_counting_at_once_gives(pairs, monkeypatch) -> None:
    generator = np.random.default_rng(7)
    users = np.sort(generator.integers(0, 40, 400))
    items = generator.integers(0, 23, 400)
    whole = directed_counts(users, items, 23, Recipe())
    monkeypatch.setattr(counts, "PAIRS_AT_ONCE", pairs)
    pieces = directed_counts(users, items, 23, Recipe())
    assert np.array_equal(whole[0], pieces[0])
    assert np.array_equal(whole[1], pieces[1])
