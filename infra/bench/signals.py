"""What each signal is worth beyond views: a real shop's two hours and a half, simulated shops, and bulk accounts."""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beckon.catalog.model import Item
from beckon.learning.evaluation import (
    Targets,
    gains,
    last_item_ranks,
    leave_out,
    model_ranks,
    paired_difference,
    popularity_ranks,
    recalls,
)
from beckon.learning.hearing import weighing
from beckon.learning.model import Histories, Model, describe, fit, scores
from beckon.learning.recipe import EVENT_WEIGHTS, Recipe
from beckon.learning.sequences import Sequences, sequences_from
from beckon.learning.training import holdout
from beckon.values import DAY_MS, HOUR_MS, SECOND_MS
from infra.accuracy.accuracy import events_in
from infra.demo import rows as files
from infra.demo.experiment import Plan, World, make_world, past
from infra.demo.inside import events_of
from infra.demo.progress import Told

OUT = Path("build/bench/signals.json")
REAL = Path("../shared/data/rees46.csv.gz")
NOW = 1_790_000_000_000
VIEWS = {"view": 1.0}
SESSION_MS = HOUR_MS // 2
BRIEF_MS = 10 * SECOND_MS
Z = 1.96
UNKNOWN = {
    "refunds, removals, ratings, customs": "neither set has any",
    "carts and purchases": "too few in two hours and a half to say how loudly they should speak",
    "recency over days, returning after days": "two hours and a half hold no second day",
    "quantity": "one piece in every row of both sets",
    "search": "only simulated, where a query is an item's own title: it would prove nothing",
    "dwell in the simulated shop": "drawn without regard to liking",
    "impressions without clicks": "the real file has none; simulated shoppers do not tire of an item",
}


def with_weights(targets: Targets, factor: NDArray[np.float64]) -> Targets:
    """Return the targets with each history event's weight multiplied; what then weighs nothing takes no place."""
    weights = (targets.histories.weights * factor).astype(np.float32)
    order = np.argsort(weights == 0, axis=1, kind="stable")
    items = np.take_along_axis(np.where(weights == 0, -1, targets.histories.items), order, axis=1)
    return replace(targets, histories=Histories(items, np.take_along_axis(weights, order, axis=1)))


def row(name: str, ranks: NDArray[np.int64], base: NDArray[np.int64], targets: Targets) -> dict[str, Any]:
    """Return N@10 and R@10 with 95 % intervals, of repeats and new items apart, and the paired gain over `base`."""
    found: dict[str, Any] = {"signal": name}
    parts = {"all": np.ones(len(ranks), dtype=np.bool_), "repeat": targets.is_repeat, "new": ~targets.is_repeat}
    for part, kept in parts.items():
        if not kept.any():
            continue
        gain, recall = gains(ranks[kept]), recalls(ranks[kept])
        difference, error = paired_difference(gain, gains(base[kept]))
        found[part] = {
            "targets": int(kept.sum()),
            "ndcg_at_10": _interval(float(gain.mean()), float(gain.std()) / np.sqrt(len(gain))),
            "recall_at_10": _interval(float(recall.mean()), float(recall.std()) / np.sqrt(len(recall))),
            "ndcg_gain": _interval(difference, error),
        }
    return found


def in_turn(known: Sequences, targets: Targets, tokens: Mapping[str, Sequence[str]], recipe: Recipe) -> Iterator[Any]:
    """Yield a row for each signal, all with the same targets and recipe; gains are over all types heard alike."""
    content = describe(known.ids, tokens, recipe)
    model = fit(known, content, recipe)
    base = model_ranks(model, targets, exclude_seen=False)
    yield row("all types alike", base, base, targets)
    yield row("last item", last_item_ranks(targets), base, targets)
    yield row("popularity", popularity_ranks(known, targets, exclude_seen=False), base, targets)
    views = with_weights(targets.weighed(VIEWS), np.ones(targets.histories.items.shape))
    yield row(
        "views alone", model_ranks(fit(known.heard(VIEWS), content, recipe), views, exclude_seen=False), base, targets
    )
    learnt = weighed_recipe(known, content, recipe)
    heard = targets.weighed(learnt.event_weights)
    yield row("learnt weights", model_ranks(model, heard, exclude_seen=False), base, targets) | {
        "weights": dict(learnt.event_weights)
    }
    for kind in ("click", "cart", "purchase"):
        for weight in (0.5, 2.0, 4.0):
            if targets.of(kind):
                loud = targets.weighed({**EVENT_WEIGHTS, kind: weight})
                yield row(f"{kind} weighs {weight}", model_ranks(model, loud, exclude_seen=False), base, targets) | {
                    "events_in_histories": targets.of(kind)
                }
    for name, weigh in (("dwell", briefly), ("session", in_session), ("recency by the hour", by_the_hour)):
        other = with_weights(targets, weigh(targets))
        yield row(name, model_ranks(model, other, exclude_seen=False), base, targets)


def weighed_recipe(known: Sequences, content: Any, recipe: Recipe) -> Recipe:
    """Return the recipe with the event weights that training would learn from `known` alone."""
    model = fit(known.where(known.from_end() > 0), content, recipe)
    validation = leave_out(known, 0, recipe.history_length)
    return weighing(model, validation, exclude_seen=False, may_go_on=lambda: True)[0]


def briefly(targets: Targets) -> NDArray[np.float64]:
    """Half for what was left within ten seconds."""
    times = _times(targets)
    return np.where(
        np.concatenate((targets.events.ts[targets.last][:, None], times[:, :-1]), axis=1) - times < BRIEF_MS, 0.5, 1
    )


def in_session(targets: Targets) -> NDArray[np.float64]:
    """Half for what came before a pause of thirty minutes."""
    times = _times(targets)
    pauses = np.concatenate((targets.events.ts[targets.last][:, None], times[:, :-1]), axis=1) - times > SESSION_MS
    return np.where(np.cumsum(pauses, axis=1) > 0, 0.5, 1)


def by_the_hour(targets: Targets) -> NDArray[np.float64]:
    """Half for each hour since."""
    return np.asarray(np.exp2(-(targets.events.ts[targets.last][:, None] - _times(targets)) / HOUR_MS))


def real(path: Path, told: Told) -> list[dict[str, Any]]:
    """Return the rows of a real file: its events alone, then with category and brand, then with a price band too."""
    with told.stage(f"{path}"):
        sequences = sequences_from(events_in(path)[0], (), EVENT_WEIGHTS)
        recipe = Recipe(repeat=16.0)
        split = holdout(sequences, recipe.history_length)
        found = [one | {"shop": path.name} for one in in_turn(split.known, split.targets, {}, recipe)]
        plain, priced = _tokens_of(path)
        ranks = [
            model_ranks(
                fit(split.known, describe(sequences.ids, tokens, recipe), recipe), split.targets, exclude_seen=False
            )
            for tokens in (plain, priced)
        ]
        found.append(row("category and brand", ranks[0], ranks[0], split.targets) | {"shop": path.name})
        found.append(row("category, brand and price band", ranks[1], ranks[0], split.targets) | {"shop": path.name})
    return found


def simulated(seed: int, told: Told, shoppers: int = 600) -> list[dict[str, Any]]:
    """Return the rows of one simulated shop."""
    with told.stage(f"simulated shop {seed}"):
        world = make_world(Plan(seed, past_shoppers=shoppers))
        split = holdout(sequences_of(events_of_past(world)), Recipe().history_length)
        return [
            one | {"shop": f"simulated {seed}"}
            for one in in_turn(split.known, split.targets, tokens_of(world), Recipe())
        ]


def bulk(seed: int, shoppers: int = 600, events: int = 100_000) -> list[dict[str, Any]]:
    """Return what one account does to everybody else's first ten: how much of them stays, N@10 before and after.

    `fast` acts once a second and is left out as a machine; `slow` stays just within what a person could do.
    """
    world = make_world(Plan(seed, past_shoppers=shoppers))
    given, tokens = events_of_past(world), tokens_of(world)
    clean = sequences_of(given)
    targets = leave_out(clean, 0, Recipe().history_length)
    before = _fitted(clean.where(clean.from_end() > 0), tokens)
    lists, gain = _first_ten(before, targets), gains(model_ranks(before, targets, exclude_seen=False))
    found = []
    for pace, gap, count in (("fast", SECOND_MS, events), ("slow", DAY_MS // 490, 4_900)):
        for habit in ("loops two items", "walks the catalogue", "views at random"):
            account = _account(world, habit, count, gap)
            both = sequences_of([*given, *account]).of_people()
            mine = both.users == clean.users.max() + 1
            after = _fitted(both.where((both.from_end() > 0) | mine), tokens)
            changed = gains(model_ranks(after, targets, exclude_seen=False))
            kept = [len(np.intersect1d(a, b)) / 10 for a, b in zip(lists, _first_ten(after, targets), strict=True)]
            difference, error = paired_difference(changed, gain)
            found.append(
                {
                    "account": f"{pace}, {habit}",
                    "events": count,
                    "share_of_lists_kept": round(float(np.mean(kept)), 5),
                    "ndcg_gain": _interval(difference, error),
                    "shop": f"simulated {seed}",
                }
            )
    return found


def events_of_past(world: World) -> list[tuple[str, int, str, str, str]]:
    """Return (person, ts, message id, item, type) of what happened in the shop."""
    found = events_of(past(world, NOW - DAY_MS), NOW)
    return [(one.user_key, one.ts, one.message_id, one.item, one.type) for one in found if one.item is not None]


def sequences_of(events: Sequence[tuple[str, int, str, str, str]]) -> Sequences:
    """Return the sequences of such events."""
    users, times, _, items, kinds = zip(*sorted(events), strict=True)
    table = pa.table({"user_key": users, "ts": times, "item": items, "type": kinds})
    return sequences_from(table, (), EVENT_WEIGHTS)


def tokens_of(world: World) -> dict[str, tuple[str, ...]]:
    """Return the items' tokens, as the catalogue makes them."""
    return {
        one.id: Item("s", one.id, one.title, 0, categories=(one.category,), attributes=dict(one.attributes)).tokens()
        for one in world.shop.products
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write build/bench/signals.json."""
    parser = argparse.ArgumentParser(prog="make bench ONLY=signals", description=__doc__)
    parser.add_argument("--data", type=Path, default=REAL, help=f"a real event file, left out if missing ({REAL})")
    parser.add_argument("--seeds", type=int, default=3, help="how many simulated shops (3)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the JSON goes ({OUT})")
    asked = parser.parse_args(arguments)
    told, started = Told(), time.monotonic()
    found = real(asked.data, told) if asked.data.exists() else []
    for seed in range(1, asked.seeds + 1):
        found += simulated(seed, told)
    with told.stage("bulk accounts"):
        accounts = bulk(1)
    ratios = {
        f"{one['shop']}: {one['signal']}": one["all"]["ndcg_gain"]["value"]
        for one in found
        if one["signal"] != "all types alike"
    }
    seconds = round(time.monotonic() - started, 1)
    whole = {"rows": found, "bulk": accounts, "ratios": ratios, "unknown": UNKNOWN, "seconds": seconds}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    told.say(f"{asked.out} written")


def _account(world: World, habit: str, count: int, gap: int) -> list[tuple[str, int, str, str, str]]:
    rng = np.random.default_rng(0)
    n_items = len(world.shop.products)
    walks = np.arange(count) % (2 if habit.startswith("loops") else n_items)
    places = rng.integers(n_items, size=count) if habit.endswith("random") else walks
    return [
        ("~account", NOW - DAY_MS - (count - n) * gap, f"{n:06}", world.shop.products[place].id, "view")
        for n, place in enumerate(places.tolist())
    ]


def _fitted(sequences: Sequences, tokens: Mapping[str, Sequence[str]]) -> Model:
    return fit(sequences, describe(sequences.ids, tokens, Recipe()), Recipe())


def _first_ten(model: Model, targets: Targets) -> NDArray[np.int64]:
    return np.argsort(-scores(model, targets.histories), axis=1, kind="stable")[:, :10]


def _interval(value: float, error: float) -> dict[str, float]:
    return {name: round(value + sign * Z * error, 5) for name, sign in (("value", 0), ("low", -1), ("high", 1))}


def _times(targets: Targets) -> NDArray[np.int64]:
    places = np.maximum(targets.last[:, None] - 1 - np.arange(targets.histories.items.shape[1]), 0)
    return np.asarray(targets.events.ts[places])


def _tokens_of(path: Path) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Return items' tokens without and with a price band (powers of √2), from the columns of an event file."""
    plain: dict[str, tuple[str, ...]] = {}
    priced: dict[str, tuple[str, ...]] = {}
    for one in files.read(path):
        tokens = tuple(f"{name}={one[name]}" for name in ("category", "brand") if one.get(name))
        price = float(one.get("price") or 0)
        band = (f"price={round(2 * np.log2(price))}",) if price > 0 else ()
        plain[one["item"]], priced[one["item"]] = tokens, tokens + band
    return plain, priced


if __name__ == "__main__":
    main()
