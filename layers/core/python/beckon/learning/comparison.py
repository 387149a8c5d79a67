"""A new model beside the one that serves: the same people's lists by both."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from beckon.artefact.model import ITEMS, MANIFEST, SCORER, ItemTable, Manifest
from beckon.learning.lists import asked_of, breadth, drift, lists_before, lists_of, most_shown
from beckon.learning.packaging import reference_run
from beckon.learning.sequences import Sequences
from beckon.learning.training import Trained


@dataclass(frozen=True, slots=True)
class Compared:
    """`breadth` of the new model's lists, `before` and `drift` beside the champion's (None: there is none).

    `shown`: the most recommended items with their share of the lists.
    """

    breadth: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    drift: Mapping[str, Any] | None = None
    shown: Sequence[Sequence[Any]] = ()


def compared(
    before: Callable[[str], bytes] | None, sequences: Sequences, trained: Trained, off_sale: Collection[str]
) -> Compared:
    """Return the comparison, on people of `sequences`; `before` reads a file of the champion, if there is one.

    Without people who came twice there is nothing to compare.
    """
    model = trained.model
    gone = [index for index, one in enumerate(model.ids) if one in off_sale]
    told = sequences.of_people().heard(model.recipe.event_weights)
    asked = asked_of(told, model.recipe.history_length, gone, exclude_seen=trained.exclude_seen)
    if not len(asked):
        return Compared()
    people_of = np.bincount(told.items[told.latest_of_pairs()], minlength=len(model.ids))
    mine = lists_of(model, asked)
    new = breadth(mine, people_of, len(gone))
    shown = most_shown(mine, model.ids)
    if before is None:
        return Compared(new, shown=shown)
    try:
        manifest, table, scorer = (before(name) for name in (MANIFEST, ITEMS, SCORER))
    except FileNotFoundError:
        return Compared(new, shown=shown)
    serving = Manifest.from_record(orjson.loads(manifest)).serving
    known = ItemTable.from_record(orjson.loads(table))
    theirs = lists_before(reference_run(scorer), known, serving, asked, model.ids)
    old = breadth(theirs, people_of, len(gone))
    moved = drift(mine, theirs, model.ids, known.ids) | {"popularity": [old["popularity"], new["popularity"]]}
    return Compared(new, old, moved, shown)
