"""The members together: their rows as one matrix, each on the scale of the first, by the recipe's shares."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from beckon.learning.counts import row_scale
from beckon.learning.members.attributes import attributes
from beckon.learning.members.contract import Known, Member
from beckon.learning.members.cosine import cosine
from beckon.learning.members.directed import directed
from beckon.learning.members.lowrank import low_rank
from beckon.learning.members.ridge import ridge
from beckon.learning.members.trending import trending
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import SparseRows

MEMBERS: Mapping[str, Member] = {
    "directed": directed,
    "ridge": ridge,
    "cosine": cosine,
    "low_rank": low_rank,
    "attributes": attributes,
    "trending": trending,
}
BLENDED = ("directed", "ridge", "cosine", "low_rank")


def shares_of(recipe: Recipe) -> dict[str, float]:
    """Return the shares of the members whose rows are blended, those above 0; directed counts have what is left."""
    others = {name: float(getattr(recipe, name)) for name in BLENDED[1:]}
    found = {"directed": 1.0 - sum(others.values())} | others
    return {name: share for name, share in found.items() if share > 0}


def blended_rows(known: Known, recipe: Recipe) -> SparseRows:
    """Return M = Σ_m share_m·(σ_1/σ_m)·M_m, σ_m the size of the member's strong cells.

    A lone member's rows are as they are. A member that has nothing to say (a ridge of too large a catalogue) leaves its
    share to the others.
    """
    found = {}
    for name in shares_of(recipe):
        rows = MEMBERS[name](known, recipe).rows
        if rows is not None and len(rows.columns):
            found[name] = rows
    if not found:
        return directed_rows(known, recipe)
    if len(found) == 1:
        return next(iter(found.values()))
    shares = shares_of(recipe)
    scales = {name: row_scale(rows, known.degrees) for name, rows in found.items()}
    first = next(iter(scales.values()))
    n_items = len(known.seen.ids)
    cells = np.concatenate([rows.row_of_cell() * n_items + rows.columns for rows in found.values()])
    values = np.concatenate(
        [rows.values * np.float32(shares[name] * first / scales[name]) for name, rows in found.items()]
    )
    order = np.argsort(cells, kind="stable")
    cells, values = cells[order], values[order]
    firsts = np.flatnonzero(np.concatenate(([True], cells[1:] != cells[:-1])))
    cells = cells[firsts]
    sums = np.add.reduceat(values, firsts)
    return SparseRows.from_cells(cells // n_items, cells % n_items, sums, (n_items, n_items))


def directed_rows(known: Known, recipe: Recipe) -> SparseRows:
    """Return the directed counts' rows."""
    rows = directed(known, replace(recipe, ridge=0.0, cosine=0.0, low_rank=0.0)).rows
    assert rows is not None  # noqa: S101 -- by the member's contract
    return rows
