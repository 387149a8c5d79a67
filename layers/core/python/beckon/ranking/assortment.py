"""A model's items as the catalogue has them now: availability, variants, and items newer than the model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from beckon.artefact.model import ItemTable
from beckon.catalog.ports import Change

# A change carries its writer's clock from before the write, and a writer lives 29 s at most (template: Timeout), so
# whatever a reader saw up to ts is complete up to ts − 30 s.
LATE_MS = 30_000


@dataclass(frozen=True, slots=True)
class Content:
    """Where tokens lie in the dense space: a row and a weight each, `directions` [tokens, D]."""

    rows: Mapping[str, int]
    weights: NDArray[np.float32]
    directions: NDArray[np.float32]

    def vector(self, tokens: Iterable[str]) -> NDArray[np.float32]:
        """Return f D / ‖f‖ [D], f the idf weights of the known tokens; zeros if none is known."""
        known = [self.rows[token] for token in tokens if token in self.rows]
        weights = self.weights[known]
        norm = float(np.linalg.norm(weights))
        if not norm > 0:
            return np.zeros(self.directions.shape[1], np.float32)
        return np.asarray((weights / norm) @ self.directions[known], np.float32)


@dataclass(frozen=True, slots=True)
class Assortment:
    """Every item that can be ranked: the model's N, then the C that are newer.

    `ids` and `groups` are [N + C] in the graph's order; `group` is one number a parent. `on_sale` [N + C], `vectors`
    [C, D]. `applied` has the time of each item's last change, `cursor` the time
    (UTC ms) up to which the change log was read.
    """

    content: Content
    model_items: int
    ids: tuple[str, ...]
    index: Mapping[str, int]
    group_of: Mapping[str, int]
    groups: NDArray[np.int32]
    on_sale: NDArray[np.bool_]
    vectors: NDArray[np.float32]
    applied: Mapping[str, int]
    cursor: int
    has_variants: bool

    @classmethod
    def of(cls, table: ItemTable, dense: int) -> Self:
        """Return the items as the model knows them."""
        group_of: dict[str, int] = {}
        groups = np.fromiter((group_of.setdefault(p, len(group_of)) for p in table.parents), np.int32, len(table.ids))
        on_sale = np.ones(len(table.ids), np.bool_)
        on_sale[list(table.unavailable)] = False
        content = Content(
            rows={token: row for row, token in enumerate(table.vocabulary)},
            weights=np.array(list(table.vocabulary.values()), np.float32),
            directions=np.array(table.directions, np.float32).reshape(len(table.vocabulary), dense),
        )
        return cls(
            content=content,
            model_items=len(table.ids),
            ids=table.ids,
            index={item: i for i, item in enumerate(table.ids)},
            group_of=group_of,
            groups=groups,
            on_sale=on_sale,
            vectors=np.zeros((0, dense), np.float32),
            applied={},
            cursor=table.catalogue_ts,
            has_variants=len(group_of) < len(table.ids),
        )

    @property
    def read_after(self) -> int:
        """Return the time after which the change log must be read again."""
        return self.cursor - LATE_MS

    def read_until(self, now: int) -> "Assortment":
        """Return the same items, the change log having been read as of `now`."""
        return replace(self, cursor=max(self.cursor, now))

    def known(self, items: Iterable[str]) -> list[int]:
        """Return the indices of those items that can be ranked, in the order given."""
        return [self.index[item] for item in items if item in self.index]

    def after(self, changes: Sequence[Change]) -> "Assortment":
        """Return the items once `changes` are made. What was applied before changes nothing, in whatever order.

        Cost: O(N + C) if there is anything new, else O(changes).
        """
        new: dict[str, Change] = {}
        for change in changes:
            last = new[change.item_id].ts if change.item_id in new else self.applied.get(change.item_id, -1)
            if change.ts > last:
                new[change.item_id] = change
        if not new:
            return self
        ids, index, group_of = list(self.ids), dict(self.index), dict(self.group_of)
        groups, on_sale, vectors = self.groups.tolist(), self.on_sale.tolist(), list(self.vectors)
        arrived = len(ids)
        for item_id, change in new.items():
            item = change.item
            at = index.get(item_id)
            if item is None:
                if at is not None:
                    on_sale[at] = False
                continue
            group = group_of.setdefault(item.parent_id or item_id, len(group_of))
            if at is None:
                index[item_id] = len(ids)
                ids.append(item_id)
                groups.append(group)
                on_sale.append(item.available)
                vectors.append(self.content.vector(item.tokens()))
            else:
                groups[at], on_sale[at] = group, item.available
                if at >= self.model_items:
                    vectors[at - self.model_items] = self.content.vector(item.tokens())
        if len(ids) > arrived:  # equal scores come by index, so newer items stand by id and not as they arrived
            order = sorted(range(self.model_items, len(ids)), key=ids.__getitem__)
            ids[self.model_items :] = [ids[at] for at in order]
            groups[self.model_items :] = [groups[at] for at in order]
            on_sale[self.model_items :] = [on_sale[at] for at in order]
            vectors = [vectors[at - self.model_items] for at in order]
            index.update({ids[at]: at for at in range(self.model_items, len(ids))})
        return replace(
            self,
            ids=tuple(ids),
            index=index,
            group_of=group_of,
            groups=np.array(groups, np.int32),
            on_sale=np.array(on_sale, np.bool_),
            vectors=np.array(vectors, np.float32).reshape(len(vectors), self.vectors.shape[1]),
            applied={**self.applied, **{item: change.ts for item, change in new.items()}},
            cursor=max(self.cursor, *(change.ts for change in new.values())),
            has_variants=len(set(groups)) < len(groups),
        )
