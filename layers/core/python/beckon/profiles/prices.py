"""The price band: weighted quartiles of what a person looks at and buys, each currency by itself."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from beckon.catalog.model import Item
from beckon.conversions.counters import NO_CURRENCY
from beckon.profiles.deeds import Deed
from beckon.profiles.model import PriceBand

MOST_CURRENCIES = 5

type Weighted = Sequence[tuple[float, float]]


def price_bands(
    strengths: Sequence[tuple[Deed, float]], items: Mapping[str, Item], sample: Sequence[Item]
) -> tuple[PriceBand, ...]:
    """Return the quartiles of prices in each currency, the currency with most deeds first.

    A deed's price is what was paid or shown for one piece, else the item's own now; refunds and deeds without either
    say nothing. Deeds without a currency are in the item's, else in XXX, ISO 4217's word for none.
    """
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for deed, strength in strengths:
        item = items.get(deed.item)
        price = _price(deed, item)
        if price is not None and strength > 0:
            found[deed.currency or (item and item.currency) or NO_CURRENCY].append((price, strength))
    most = sorted(found, key=lambda currency: (-len(found[currency]), currency))[:MOST_CURRENCIES]
    return tuple(_band(currency, found[currency], sample) for currency in most)


def weighted_quantile(weighted: Weighted, share: float) -> float:
    """Return the least price p of (price, weight) pairs with Σ_{p_i ≤ p} w_i ≥ share · Σ w_i.

    Sums are exact, so equal weights in any order give one answer. Cost: O(n log n).

    Raises:
        ValueError: no pair, a weight that is not positive, or a share outside 0..1.
    """
    if not weighted or not all(weight > 0 for _, weight in weighted):
        raise ValueError(f"needs pairs with positive weights, got {weighted!r}")
    if not 0 <= share <= 1:
        raise ValueError(f"share must be within 0..1, got {share}")
    wanted = Fraction(share) * sum(Fraction(weight) for _, weight in weighted)
    reached = Fraction(0)
    ascending = sorted(weighted)
    for price, weight in ascending:
        reached += Fraction(weight)
        if reached >= wanted:
            return price
    return ascending[-1][0]


def _band(currency: str, weighted: Weighted, sample: Sequence[Item]) -> PriceBand:
    low, middle, high = (weighted_quantile(weighted, share) for share in (0.25, 0.5, 0.75))
    prices = [one.price for one in sample if one.price is not None and (one.currency or NO_CURRENCY) == currency]
    rank = sum(price < middle for price in prices) / len(prices) if prices else None
    return PriceBand(currency, low, middle, high, len(weighted), rank)


def _price(deed: Deed, item: Item | None) -> float | None:
    if deed.money is not None and deed.quantity > 0:
        return deed.money / deed.quantity
    return None if item is None else item.price
