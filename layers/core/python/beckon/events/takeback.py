"""What a person took back: a refund undoes a purchase, a removal undoes a cart."""

from collections import defaultdict
from collections.abc import Iterable

UNDOES = {"refund": ("purchase", "cart"), "remove": ("cart",)}


def taken_back(steps: Iterable[tuple[str, str | None, str | None]]) -> set[int]:
    """Return the places of the steps that later ones undo. `steps` are one person's, oldest first: type, item, order.

    A refund undoes the newest purchase of its item (of its order, where both name one) and the newest cart; without
    an item, every purchase of its order. A removal undoes the newest cart. Nothing is undone twice.
    """
    done: defaultdict[tuple[str, str | None, str | None], list[int]] = defaultdict(list)
    whole: defaultdict[tuple[str, str | None], list[int]] = defaultdict(list)  # whatever the order
    orders: defaultdict[str, list[int]] = defaultdict(list)
    undone: set[int] = set()
    for place, (kind, item, order) in enumerate(steps):
        if kind in ("purchase", "cart"):
            done[kind, item, order].append(place)
            whole[kind, item].append(place)
            if kind == "purchase" and order is not None:
                orders[order].append(place)
        elif kind in UNDOES and item is not None:
            for undoable in UNDOES[kind]:
                exact = (done[undoable, item, order], done[undoable, item, None])
                stacks = exact if order is not None else (whole[undoable, item],)
                next(filter(None, (_newest(stack, undone) for stack in stacks)), None)
        elif kind == "refund" and order is not None:
            undone.update(orders.pop(order, ()))
    return undone


def _newest(stack: list[int], undone: set[int]) -> bool:
    """Undo the newest place of the stack that still stands; return whether there was one."""
    while stack:
        place = stack.pop()
        if place not in undone:
            undone.add(place)
            return True
    return False
