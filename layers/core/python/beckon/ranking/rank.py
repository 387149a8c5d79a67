"""From history and assortment to a list with reasons: pure, one run of the graph or a few where variants crowd."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beckon.artefact.model import Serving
from beckon.events.model import Event
from beckon.events.takeback import UNDOES, taken_back
from beckon.ranking.assortment import Assortment
from beckon.ranking.model import Ranked, Ranking, Reason, Request
from beckon.ranking.ports import Inputs, Scorer, Scores
from beckon.ranking.probability import finished

MARGIN = 10  # candidates beyond k, for variants that collapse
WIDEN = 4  # times as many when that was not enough

type Placed = tuple[int, Ranked]  # with its place in the graph's answer, from 1
type Ask = Callable[[int], Iterator[Ranked]]  # the best k of a request

UNKNOWN_SEED = "item {seed!r} is not in the model; trending items instead. New items join at the next retrain"
UNKNOWN_CART = "none of the cart's items is in the model; trending items instead. New items join at the next retrain"
NOTHING_LEFT = "every item of the catalogue is unavailable, deleted or excluded from this list"


@dataclass(frozen=True, slots=True)
class _Seeds:
    """What speaks for the list: items the model knows, newest first, each with its weight."""

    indices: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    note: str | None = None


def history_types(serving: Serving) -> frozenset[str]:
    """Return the event types that count in a history, or take away from it."""
    return frozenset(kind for kind, weight in serving.event_weights.items() if weight != 0) | frozenset(UNDOES)


def needs_history(request: Request, serving: Serving) -> bool:
    """Whether the person's history changes the list at all."""
    return request.surface in ("home", "rerank") or serving.exclude_seen


def rank(
    request: Request, history: Sequence[Event], serving: Serving, assortment: Assortment, scorer: Scorer
) -> Ranking:
    """Return the list for `request`. `history` is newest first.

    weight of the k-th newest event = event_weights[type] · ρ^k. Ties are the graph's: by index.
    Cost: one graph run, O(N) for the mask; where variants collapse, a run more for each time too few were left.
    """
    seeds = _seeds(request, history, serving, assortment)
    allowed = _allowed(request, history, serving, assortment)
    ask = _asking(seeds, allowed, serving, assortment, scorer)
    found = _rerank(request, ask) if request.surface == "rerank" else _best(request.k, assortment, ask)
    items = tuple(
        _finished(one, place, position, request.surface, serving) for position, (place, one) in enumerate(found, 1)
    )
    named = "personal" if request.surface == "home" else request.surface
    policy = named if seeds.indices else "trending"
    return Ranking(items, policy, seeds.note or (None if items else NOTHING_LEFT), len(seeds.indices))


def _seeds(request: Request, history: Sequence[Event], serving: Serving, assortment: Assortment) -> _Seeds:
    match request.surface:
        case "trending":
            return _Seeds()
        case "similar":
            index = _in_model(assortment, request.item or "")
            if index is None:
                return _Seeds(note=UNKNOWN_SEED.format(seed=request.item))
            return _Seeds((index,), (1.0,))
        case "cart":
            cart = [i for i in (_in_model(assortment, item) for item in reversed(request.items)) if i is not None]
            chosen = tuple(cart[: serving.history_length])
            return _Seeds(chosen, (1.0,) * len(chosen)) if chosen else _Seeds(note=UNKNOWN_CART)
    indices: list[int] = []
    weights: list[float] = []
    for event in _standing(history):
        index = _in_model(assortment, event.item or "")
        if index is not None and len(indices) < serving.history_length:
            weights.append(serving.event_weights.get(event.type, 0.0) * serving.recency ** len(indices))
            indices.append(index)
    return _Seeds(tuple(indices), tuple(weights))


def _standing(history: Sequence[Event]) -> list[Event]:
    """Return the history without what was taken back, as training leaves it out too."""
    if not any(event.type in UNDOES for event in history):
        return list(history)
    undone = taken_back((event.type, event.item, event.order_id) for event in reversed(history))
    last = len(history) - 1
    return [e for place, e in enumerate(history) if e.type not in UNDOES and last - place not in undone]


def _in_model(assortment: Assortment, item: str) -> int | None:
    """Return the index if the graph can take it as history: an item newer than the model has no row there."""
    index = assortment.index.get(item)
    return index if index is not None and index < assortment.model_items else None


def _allowed(request: Request, history: Sequence[Event], serving: Serving, assortment: Assortment) -> NDArray[np.bool_]:
    """Return which of the N + C items may be shown, [N + C]."""
    if request.surface == "rerank":
        allowed = np.zeros(len(assortment.ids), np.bool_)
        allowed[assortment.known(request.items)] = True
    else:
        allowed = assortment.on_sale.copy()
        if serving.exclude_seen:
            allowed[assortment.known(event.item for event in history if event.item is not None)] = False
        own = assortment.known((request.item,) if request.item is not None else request.items)
        if own:  # an item's other variants are no answer to it either
            allowed &= ~np.isin(assortment.groups, assortment.groups[own])
    allowed[assortment.known(request.exclude)] = False
    return allowed


def _best(k: int, assortment: Assortment, ask: Ask) -> tuple[Placed, ...]:
    """Return the best k, one of each group of variants."""
    if not assortment.has_variants:
        return tuple(enumerate(ask(k), 1))
    count = k + MARGIN
    while True:
        found = list(enumerate(ask(count), 1))
        best_of_group: dict[int, Placed] = {}
        for place, one in found:
            best_of_group.setdefault(int(assortment.groups[assortment.index[one.id]]), (place, one))
        if len(best_of_group) >= k or len(found) < count:
            return tuple(best_of_group.values())[:k]
        count *= WIDEN


def _rerank(request: Request, ask: Ask) -> tuple[Placed, ...]:
    """Return all of the caller's items: by score, then those the model cannot score, in the caller's order."""
    known = tuple(ask(len(request.items)))
    placed = {one.id for one in known}
    rest = (item for item in request.items if item not in placed and item not in request.exclude)
    return tuple(enumerate((*known, *(Ranked(item, 0.0, 0.0, None, ()) for item in rest)), 1))[: request.k]


def _finished(one: Ranked, place: int, position: int, surface: str, serving: Serving) -> Ranked:
    if one.probability is None or serving.chances is None:
        return one
    return replace(one, probability=finished(one.probability, place, position, surface, serving.chances))


def _asking(seeds: _Seeds, allowed: NDArray[np.bool_], serving: Serving, assortment: Assortment, scorer: Scorer) -> Ask:
    """Return the graph as a function of k alone. Of the newer items it is sent those that may be shown."""
    newer = np.flatnonzero(allowed[assortment.model_items :])
    eligible = int(np.count_nonzero(allowed))

    def ask(k: int) -> Iterator[Ranked]:
        if not eligible:
            return
        inputs = Inputs(
            history=np.array(seeds.indices, np.int64),
            weight=np.array(seeds.weights, np.float32),
            need=np.zeros(serving.dense, np.float32),
            allow=allowed[: assortment.model_items],
            extra=assortment.vectors[newer],
            k=min(k, eligible),
        )
        scores = scorer.score(inputs)
        for place, index in enumerate(scores.items.tolist()):
            beyond = index - assortment.model_items
            at = index if beyond < 0 else assortment.model_items + int(newer[beyond])
            yield _ranked(assortment.ids[at], place, scores, [assortment.ids[i] for i in seeds.indices])

    return ask


def _ranked(item: str, place: int, scores: Scores, spoken: Sequence[str]) -> Ranked:
    """Return one place with its reasons: an item met twice in the history is one reason, and zero parts are none."""
    parts = scores.reasons[place].tolist()
    by_item: dict[str, float] = {}
    for source, part in zip(spoken, parts, strict=False):  # the last two parts are the need's and the prior's
        by_item[source] = by_item.get(source, 0.0) + part
    reasons = [Reason("history", part, source) for source, part in by_item.items() if part != 0]
    need, prior = parts[-2:]
    reasons += [Reason("need", need)] * (need != 0) + [Reason("prior", prior)] * (prior != 0)
    score, probability = float(scores.score[place]), float(scores.probability[place])
    return Ranked(
        id=item,
        score=score,
        final_score=score,
        probability=None if np.isnan(probability) else probability,
        reasons=tuple(sorted(reasons, key=lambda reason: -abs(reason.part))),
    )
