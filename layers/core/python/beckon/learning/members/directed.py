"""What follows what: directed counts, damped by how many people know either item."""

from beckon.learning.counts import damped
from beckon.learning.members.contract import Known, Tables
from beckon.learning.recipe import Recipe


def directed(known: Known, recipe: Recipe) -> Tables:
    """Return rows M = D^(−a) C D^(−c), C = T + b·Tᵀ, T as in `counts.directed_counts`."""
    return Tables(rows=damped(known.pairs(recipe), known.degrees, recipe))
