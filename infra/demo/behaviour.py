"""How a shopper behaves: wandering about the shop, and looking down a list of items that the shop shows.

A shopper's own wandering never depends on what Beckon shows, so it is the same whichever arm the shopper is in.
"""

from dataclasses import dataclass

import numpy as np

from infra.demo.shop import Shop, Shopper

LOOKS_ON = 0.88  # chance to look at the next place of a list: the position bias
CLICK = (-4.6, 1.3)  # log odds of a click: at liking 0, and per unit of liking
COMPANION = 1.6  # what it adds to liking that an item goes with the one just looked at
SEARCHES = 0.2  # share of visits that begin with a search
CART = (-2.9, 0.9)  # log odds of a cart after a click
BUY = 0.6  # chance that what is in the cart is bought
WANDERER_CART = 0.1  # how much rarer a cart is on the way through the shop than after a list
BLIND_LIKING = 1.6  # what a blind shopper makes of every item of a list


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a shopper did, `after` seconds after the one before; `item` is an index, `position` counts from 1."""

    kind: str
    item: int | None = None
    after: float = 5.0
    query: str | None = None
    position: int | None = None


def wander(shop: Shop, shopper: Shopper, rng: np.random.Generator) -> list[Action]:
    """Return a walk through search and category pages: 1 to 6 views by taste and popularity, at times a purchase.

    The next item is one that goes with the last in a third of the steps, else one of the shopper's own taste.
    """
    actions: list[Action] = []
    seen: list[int] = []
    for step in range(1 + min(5, rng.poisson(1.8))):
        item = _next_view(shop, shopper, seen, rng)
        if step == 0 and rng.random() < SEARCHES:
            actions.append(Action("search", query=shop.products[item].title.rsplit(" in ", 1)[0]))
        actions.append(Action("view", item, after=float(rng.integers(4, 60))))
        seen.append(item)
        if rng.random() < WANDERER_CART * _chance(CART, shopper.liking[item]):
            actions.extend(_to_the_till(item, rng.random()))
    return actions


def look_down(
    shop: Shop,
    shopper: Shopper,
    shown: list[int],
    last: int | None,
    rng: np.random.Generator,
    *,
    blind: bool = False,
) -> list[Action]:
    """Return what a shopper does with a list: impressions from the top, clicks and purchases by hidden taste.

    The same draws are made whatever is shown. A `blind` shopper treats every item alike, so that nothing the shop
    shows can change what the shopper does: the null under which no lift exists. Ends at the first click.
    """
    actions: list[Action] = []
    draws = rng.random((len(shown), 4))
    for position, (item, (looks, clicks, carts, buys)) in enumerate(zip(shown, draws, strict=True), start=1):
        if position > 1 and looks >= LOOKS_ON:
            break
        liking = BLIND_LIKING if blind else float(shopper.liking[item])
        if last is not None and not blind and shop.companions[last, item]:
            liking += COMPANION
        actions.append(Action("impression", item, after=1.0, position=position))
        if clicks < _chance(CLICK, liking):
            actions.append(Action("click", item, after=2.0, position=position))
            if carts < _chance(CART, liking):
                actions.extend(_to_the_till(item, buys))
            break
    return actions


def _next_view(shop: Shop, shopper: Shopper, seen: list[int], rng: np.random.Generator) -> int:
    if seen and rng.random() < 1 / 3:
        return int(rng.choice(np.flatnonzero(shop.companions[seen[-1]])))
    weight = np.exp(1.5 * shopper.liking + 0.5 * shop.appeal)
    weight[seen] = 0
    return int(rng.choice(len(weight), p=weight / weight.sum()))


def _to_the_till(item: int, draw: float) -> list[Action]:
    cart = [Action("cart", item, after=8.0)]
    return [*cart, Action("purchase", item, after=30.0)] if draw < BUY else cart


def _chance(odds: tuple[float, float], liking: float) -> float:
    return float(1 / (1 + np.exp(-(odds[0] + odds[1] * liking))))
