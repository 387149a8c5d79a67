"""Interests: tags by how much a person does about them and how rare they are, and shares of categories."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import fsum, log

from beckon.catalog.model import Item
from beckon.profiles.deeds import Deed
from beckon.profiles.model import Evidence, Interest, Share

MOST_TAGS = 20
MOST_EVIDENCE = 3
MOST_CATEGORIES = 10

type Strengths = Sequence[tuple[Deed, float]]


def interests(strengths: Strengths, items: Mapping[str, Item], sample: Sequence[Item]) -> tuple[Interest, ...]:
    """Return the strongest tags of the `items` that deeds are of, with their evidence.

    Over the N items of the catalogue's `sample`, df_t of which bear tag t:

        idf_t  =  ln((N + 1) / (df_t + 1))        0 for a tag that everything bears
        raw_t  =  idf_t · Σ_{deeds e, t ∈ tags(item_e)} w_e
        weight_t = raw_t / Σ_{t': raw > 0} raw_t'

    Only positive weights are interests. A tag that a single known item bears (an article number, say) is that item's
    name and no interest. Sums are exactly rounded (fsum), so their order changes nothing. Cost: O(tags + sample).
    """
    tags = {name: item.tags() for name, item in items.items()}
    idf = _idf(tags, sample)
    said: dict[str, list[tuple[Deed, float]]] = defaultdict(list)
    for deed, strength in strengths:
        for tag in tags.get(deed.item, ()):
            if idf.get(tag, 0.0) > 0:
                said[tag].append((deed, idf[tag] * strength))
    raw = {tag: total for tag, parts in said.items() if (total := fsum(part for _, part in parts)) > 0}
    everything = fsum(raw.values())
    best = sorted(raw, key=lambda tag: (-raw[tag], tag))[:MOST_TAGS]
    return tuple(
        Interest(tag, raw[tag] / everything, idf[tag], len(said[tag]), _evidence(said[tag], everything)) for tag in best
    )


def categories(strengths: Strengths, items: Mapping[str, Item]) -> tuple[Share, ...]:
    """Return the preferred categories: share_c = Σ_e w_e · [c ∈ C(item_e)] / |C(item_e)|, over all positive ones."""
    said: dict[str, list[float]] = defaultdict(list)
    for deed, strength in strengths:
        own = sorted(set(items[deed.item].categories)) if deed.item in items else []
        for category in own:
            said[category].append(strength / len(own))
    return shares(said, MOST_CATEGORIES)


def shares(said: Mapping[str, Iterable[float]], most: int) -> tuple[Share, ...]:
    """Return each name's positive sum over all positive sums, greatest first, at most `most`."""
    sums = {name: total for name, parts in said.items() if (total := fsum(parts)) > 0}
    everything = fsum(sums.values())
    best = sorted(sums, key=lambda name: (-sums[name], name))[:most]
    return tuple(Share(name, sums[name] / everything) for name in best)


def _idf(tags: Mapping[str, Sequence[str]], sample: Sequence[Item]) -> dict[str, float]:
    """Return idf of the tags that at least two items bear, of those known and those in the sample together."""
    wanted = {tag for own in tags.values() for tag in own}
    in_sample: dict[str, int] = dict.fromkeys(wanted, 0)
    bearers: dict[str, int] = dict.fromkeys(wanted, 0)
    for item in sample:
        for tag in wanted.intersection(item.tags()):
            in_sample[tag] += 1
            bearers[tag] += item.id not in tags
    for own in tags.values():
        for tag in own:
            bearers[tag] += 1
    return {tag: log((len(sample) + 1) / (df + 1)) for tag, df in in_sample.items() if bearers[tag] > 1}


def _evidence(parts: Strengths, everything: float) -> tuple[Evidence, ...]:
    strongest = sorted(parts, key=lambda one: (-abs(one[1]), -one[0].ts, one[0].source, one[0].item, one[0].kind))
    return tuple(
        Evidence(deed.source, deed.kind, deed.item, deed.ts, part / everything)
        for deed, part in strongest[:MOST_EVIDENCE]
    )
