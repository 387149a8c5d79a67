"""Who met both: the cosine of items' vectors of people, in any order and at any distance within the window."""

from dataclasses import replace

from beckon.learning.counts import both_ways, damped, directed_counts
from beckon.learning.members.contract import Known, Tables
from beckon.learning.recipe import Recipe


def cosine(known: Known, recipe: Recipe) -> Tables:
    """Return rows K = D^(−½) A D^(−½) without diagonal, A[i, j] the people who met both i and j, d_j those who met j.

    Each person's items once; items further apart than `pair_window` do not count as met together.
    """
    plain = replace(recipe, pair_decay=1.0, source_power=0.5, target_power=0.5)
    n_items = len(known.seen.ids)
    cells, counts = directed_counts(known.once.users, known.once.items, n_items, plain)
    return Tables(rows=damped(both_ways(cells, counts, n_items, 1.0), known.degrees, plain))
