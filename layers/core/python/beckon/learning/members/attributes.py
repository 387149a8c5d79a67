"""What items say of themselves: shared tokens, and the dense space that newer items and needs live in."""

from beckon.learning.members.contract import Known, Tables
from beckon.learning.recipe import Recipe


def attributes(known: Known, recipe: Recipe) -> Tables:  # noqa: ARG001 -- by the contract
    """Return tokens F, idf-weighted, each row of unit length, and E = F V."""
    return Tables(tokens=known.content.rows, dense=known.content.dense)
