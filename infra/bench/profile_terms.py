"""`make bench ONLY=profiles`: does what a profile knows, its price band or preferred categories, rank better?

For a real event file with `price`, `category` and `brand` columns and for the simulated shop, on retrain's own holdout
and with everybody's last event left out. Tried are: steps of price among an item's content, against its tags alone;
and, beyond these, a term more in the score, category preference or price band, its weight chosen as recipes are, on
everybody's last known event. What counts is the paired difference of N@10, target by target.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beckon.catalog.model import Item
from beckon.learning.coldstart import has_few_repeats
from beckon.learning.evaluation import Targets, gains, leave_out, paired_difference, ranks_in
from beckon.learning.model import Model, describe, fit, scores, users_at_once
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import KINDS, Sequences, sequences_from
from beckon.learning.training import Holdout, holdout, tuned
from beckon.profiles.deeds import STRENGTH, Deed, strengths
from beckon.profiles.interests import categories
from beckon.profiles.prices import price_bands
from beckon.values import DAY_MS
from infra.accuracy.accuracy import events_in
from infra.demo import rows
from infra.demo.experiment import Plan, make_world, past
from infra.demo.inside import events_of, parsed_item
from infra.demo.nulls import NOW
from infra.demo.progress import Told

OUT = Path("build/bench/profiles.json")
DATA = Path("../shared/data")
REAL = "rees46.csv.gz"
SEEDS = 3
WEIGHTS = (0.03, 0.1, 0.3, 1.0)  # of σ, as `content` and `prior` of a recipe
STEPS, CATEGORY, PRICE = "steps of price", "category term", "price term"
PRICE_FALL = 2.0  # outside the band the term falls as (edge / price)^2: a quarter at twice the price

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Data:
    """Events, oldest first a person, and the items they are of."""

    name: str
    events: Sequences
    items: Mapping[str, Item]


def real(path: Path) -> Data:
    """Return an event file as data; an item is as its last row describes it, in its category and those above it.

    Raises:
        BadFile: the file cannot be read.
    """
    items: dict[str, Item] = {}
    for row in rows.read(path):
        steps = row.get("category", "").split(".")
        within = tuple(".".join(steps[: n + 1]) for n in range(len(steps)) if steps[0])
        brand = {"brand": row["brand"]} if row.get("brand") else {}
        price = float(row["price"]) if row.get("price") else None
        name = row["item"].strip()
        items[name] = Item("bench", name, name, 0, categories=within, attributes=brand, price=price)
    return Data(path.name, sequences_from(events_in(path)[0], items, EVENT_WEIGHTS), items)


def simulated(seed: int) -> Data:
    """Return the past of the simulated shop of a seed."""
    world = make_world(Plan(seed))
    events = sorted(events_of(past(world, NOW - DAY_MS), NOW), key=lambda one: (one.user_key, one.ts, one.message_id))
    columns = {name: [getattr(one, name) for one in events] for name in ("user_key", "ts", "item", "type")}
    types = {"user_key": pa.string(), "ts": pa.int64(), "item": pa.string(), "type": pa.string()}
    table = pa.table({name: pa.array(column, types[name]) for name, column in columns.items()})
    items = {one.id: parsed_item(one, NOW) for one in world.shop.products}
    return Data(f"simulated shop, seed {seed}", sequences_from(table, items, EVENT_WEIGHTS), items)


def measured(data: Data) -> list[dict[str, Any]]:
    """Return for each protocol and each way what it gains, with standard errors."""
    length = Recipe().history_length
    last_out = Holdout(
        "leave-one-out", data.events.where(data.events.from_end() > 0), leave_out(data.events, 0, length)
    )
    return [row for split in (holdout(data.events, length), last_out) for row in _compared(data, split)]


def _compared(data: Data, split: Holdout) -> Iterator[dict[str, Any]]:
    exclude_seen = has_few_repeats(data.events)
    tags, tokens = ({name: way(one) for name, one in data.items.items()} for way in (Item.tags, Item.tokens))
    by_tags = _fitted(split, data, tags, exclude_seen=exclude_seen)
    without = _gains(by_tags, split.targets, data.items, (), exclude_seen=exclude_seen)[STEPS, 0.0]
    model = _fitted(split, data, tokens, exclude_seen=exclude_seen)
    after = _gains(model, split.targets, data.items, WEIGHTS, exclude_seen=exclude_seen)
    last = leave_out(split.known, 0, model.recipe.history_length).some(2_000)
    known = split.known.where(split.known.from_end() > 0).heard(model.recipe.event_weights)
    before = _gains(fit(known, model.content, model.recipe), last, data.items, WEIGHTS, exclude_seen=exclude_seen)
    yield _row((data, split), STEPS, 0.0, after[STEPS, 0.0], without)
    for term in (CATEGORY, PRICE):
        weight = max((before[term, one].mean(), -one, one) for one in WEIGHTS)[2]
        yield _row((data, split), term, weight, after[term, weight], after[STEPS, 0.0])


def _fitted(split: Holdout, data: Data, tokens: Mapping[str, Sequence[str]], *, exclude_seen: bool) -> Model:
    """Return the model of the known events by the recipe that retrain would choose."""
    start = Recipe()
    content = describe(data.events.ids, tokens, start)
    recipe, _ = tuned(split.known, content, start, exclude_seen=exclude_seen, may_go_on=lambda: True)
    return fit(split.known.heard(recipe.event_weights), content, recipe)


def _row(of: tuple[Data, Holdout], way: str, weight: float, ours: Floats, theirs: Floats) -> dict[str, Any]:
    data, split = of
    fresh = ~split.targets.is_repeat
    (gain, error), (new_gain, new_error) = (
        paired_difference(ours[some], theirs[some]) for some in (fresh | True, fresh)
    )
    return {
        "data": data.name,
        "protocol": split.protocol,
        "way": way,
        "weight": weight,
        "targets": len(ours),
        "new_targets": int(fresh.sum()),
        "ndcg_at_10": round(float(theirs.mean()), 5),
        "gain": round(gain, 5),
        "error": round(error, 5),
        "new_gain": round(new_gain, 5),
        "new_error": round(new_error, 5),
    }


def _gains(
    model: Model, targets: Targets, items: Mapping[str, Item], weights: Sequence[float], *, exclude_seen: bool
) -> dict[tuple[str, float], Floats]:
    """Return N@10 of each target: of the score as it is (STEPS, 0), and with each term at each of `weights`·σ."""
    targets = targets.weighed(model.recipe.event_weights)
    grid = [(term, weight) for term in (CATEGORY, PRICE) for weight in weights]
    found = {way: np.empty(len(targets)) for way in [(STEPS, 0.0), *grid]}
    shop = [items.get(name, Item("bench", name, name, 0)) for name in model.ids]
    step = min(users_at_once(model), 256)
    for first in range(0, len(targets), step):
        block = slice(first, min(first + step, len(targets)))
        base = scores(model, targets.histories.rows(block.start, block.stop))
        found[STEPS, 0.0][block] = gains(ranks_in(base.copy(), targets, block, exclude_seen=exclude_seen))
        if not weights:
            continue
        category, price = (np.stack(parts) for parts in zip(*_terms(targets, block, shop, items), strict=True))
        for term, weight in grid:
            more = (weight * model.scale * (category if term == CATEGORY else price)).astype(np.float32)
            found[term, weight][block] = gains(ranks_in(base + more, targets, block, exclude_seen=exclude_seen))
    return found


def _terms(
    targets: Targets, block: slice, shop: Sequence[Item], items: Mapping[str, Item]
) -> Iterator[tuple[Floats, Floats]]:
    """Yield for each target, [items] each, what the profile before it says of the items.

    category_j = Σ_{c ∈ C_j} share_c / max_c share_c; price_j = 1 within the band's quartiles, (edge / p)^±2 outside.
    """
    events, prices = targets.events, np.array([math.nan if one.price is None else one.price for one in shop])
    places: dict[str, list[int]] = {}
    for index, one in enumerate(shop):
        for name in one.categories:
            places.setdefault(name, []).append(index)
    for first, last in zip(targets.first[block].tolist(), targets.last[block].tolist(), strict=True):
        done = [
            Deed(str(place), KINDS[events.kinds[place]], events.ids[events.items[place]], int(events.ts[place]))
            for place in range(first, last)
            if KINDS[events.kinds[place]] in STRENGTH
        ]
        said = strengths(done, int(events.ts[last]))
        category, price = np.zeros(len(shop)), np.zeros(len(shop))
        shares = categories(said, items)
        for share in shares:
            category[places[share.name]] += share.share / shares[0].share
        for band in price_bands(said, items, ())[:1]:
            edge = np.clip(prices, band.low, band.high)
            with np.errstate(divide="ignore", invalid="ignore"):
                price = np.nan_to_num(np.exp(-PRICE_FALL * np.abs(np.log(prices / edge))))
        yield category, price


def main(arguments: Sequence[str] | None = None) -> None:
    """Write build/bench/profiles.json."""
    parser = argparse.ArgumentParser(prog="make bench ONLY=profiles", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help=f"folder of {REAL} ({DATA}); without it, not measured")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"of the simulated shop, from 1 on (default {SEEDS})")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the JSON goes ({OUT})")
    asked = parser.parse_args(arguments)
    told, found = Told(), []
    paths = [asked.data / REAL] if (asked.data / REAL).exists() else []
    worlds = [*(real(path) for path in paths), *(simulated(seed) for seed in range(1, asked.seeds + 1))]
    for data in told.each(iter(worlds), "data sets measured", len(worlds)):
        found += measured(data)
        for row in found[-6:]:
            what = f"{row['data']}, {row['protocol']}, {row['way']}"
            told.say(f"{what}: {row['gain']:+.5f} ± {row['error']:.5f} beyond {row['ndcg_at_10']}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"rows": found}, indent=2, allow_nan=False) + "\n")
    told.say(f"{asked.out} written")


if __name__ == "__main__":
    main()
