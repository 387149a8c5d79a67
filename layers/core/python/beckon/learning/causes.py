"""Which events lists brought about: what a judge of recipes must not count, for the champion wrote those lists."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beckon.learning.slots import WINDOW_MS
from beckon.learning.sparse import Bools

NEVER = np.iinfo(np.int64).min // 2


def brought_about(events: pa.Table, exposures: pa.Table) -> Bools:
    """Return for each of `events` (user_key, type, item, ts, rec_id) whether a list brought it about.

    It did if the event names a list (an impression alone is no act), or is a click of an item that a list showed the
    person in the week before; and so is whatever the person does with that item in the week after. `exposures` have
    user_key, ts, slots. Cost: a sort of events and slots.
    """
    caused = np.zeros(events.num_rows, dtype=np.bool_)
    kinds = events.column("type")
    names_list = pc.is_valid(events.column("rec_id")).combine_chunks().to_numpy(zero_copy_only=False)
    is_act = pc.not_equal(kinds, "impression").combine_chunks().to_numpy(zero_copy_only=False)
    is_click = pc.equal(kinds, "click").combine_chunks().to_numpy(zero_copy_only=False)
    marks = names_list & is_act
    if not marks.any() and not exposures.num_rows:
        return caused
    people, items = pc.unique(events.column("user_key")), pc.unique(events.column("item"))
    keys = _keys(events.column("user_key"), events.column("item"), people, items)
    times = events.column("ts").to_numpy()
    shown, shown_at = _shown(exposures, people, items)
    marks |= is_click & (keys >= 0) & _within(keys, times, shown, shown_at)
    found: Bools = marks | ((keys >= 0) & _within(keys, times, keys[marks], times[marks]))
    return found


def _shown(exposures: pa.Table, people: pa.Array, items: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the key and the time of every slot that was served to a person of an item, both being known."""
    slots = exposures.column("slots").combine_chunks()
    owner = pc.list_parent_indices(slots)
    item = pc.struct_field(pc.list_flatten(slots), "item")
    keys = _keys(exposures.column("user_key").combine_chunks().take(owner), item, people, items)
    times = exposures.column("ts").to_numpy()[owner.to_numpy(zero_copy_only=False)]
    return keys[keys >= 0], times[keys >= 0]


def _keys(user: Any, item: Any, people: pa.Array, items: pa.Array) -> NDArray[np.int64]:
    """Return a number for each person and item, −1 where there is no item or either is not known."""
    first, second = (
        pc.fill_null(pc.index_in(values, value_set=known, skip_nulls=True), -1)
        for values, known in ((user, people), (item, items))
    )
    whose, which = (
        np.asarray(one.to_numpy(zero_copy_only=False), dtype=np.int64) for one in map(_whole, (first, second))
    )
    keys: NDArray[np.int64] = np.where((whose >= 0) & (which >= 0), whose * max(1, len(items)) + which, -1)
    return keys


def _whole(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _within(
    keys: NDArray[np.int64], times: NDArray[np.int64], cause: NDArray[np.int64], caused_at: NDArray[np.int64]
) -> Bools:
    """Return for each key and time whether a cause of the same key lies in the week up to it, itself included."""
    every, at = np.concatenate((cause, keys)), np.concatenate((caused_at, times))
    is_effect = np.concatenate((np.zeros(len(cause), dtype=np.int8), np.ones(len(keys), dtype=np.int8)))
    order = np.lexsort((is_effect, at, every))
    key, when, effect = every[order], at[order], is_effect[order]
    # The newest cause so far, by place in the order; one of an earlier key does not count.
    newest = np.maximum.accumulate(np.where(effect == 0, np.arange(len(order)), -1))
    known = (newest >= 0) & (key[newest] == key)
    near = known & (when - np.where(known, when[newest], NEVER) <= WINDOW_MS)
    found = np.zeros(len(order), dtype=np.bool_)
    found[order] = near
    return found[len(cause) :]
