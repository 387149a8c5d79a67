"""`make bench ONLY=demo`: does the demo's interval cover 0 where nothing is to be found, and miss it elsewhere?

Twenty seeds of the demo's own world, in this process: the product's wire parser, learning, exported graph and ranking
over stores in memory. Two nulls: A/A, both arms are shown Beckon's list; blind, shoppers treat every item alike.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beckon.values import DAY_MS
from infra.demo.experiment import AGAINST_ITSELF, AGAINST_TRENDING, Arm, Plan, Surface, World, make_world, past, visit
from infra.demo.inside import Inside, events_of, learn
from infra.demo.measure import conversion
from infra.demo.progress import Told

OUT = Path("build/bench/demo_nulls.json")
SEEDS = 20
ENOUGH = 18  # of 20: fewer would happen to a true 95 % interval in 1 of 13 tries
NOW = 1_790_000_000_000  # any moment: the world's clock is simulated
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Tried:
    """One experiment's way: what each arm is shown, and whether shoppers can see it; `is_null` says no lift exists."""

    name: str
    surfaces: Mapping[Arm, Surface]
    blind: bool
    is_null: bool


WAYS = (
    Tried("a_a", AGAINST_ITSELF, blind=False, is_null=True),
    Tried("blind", AGAINST_TRENDING, blind=True, is_null=True),
    Tried("demo", AGAINST_TRENDING, blind=False, is_null=False),
)


def try_seed(seed: int, plan: Plan | None = None) -> list[dict[str, Any]]:
    """Return what each way found in the world of one seed, whose model is learnt once from the same past."""
    world = make_world(plan or Plan(seed))
    events = events_of(past(world, NOW - DAY_MS), NOW)
    models = learn(world.shop, events, NOW)
    rows = []
    for way in WAYS:
        started = time.monotonic()
        loop = Inside(models, NOW)
        for event in events:
            loop.history.add(event)
        rows.append({"tried": way.name, "seed": seed, **found(world, loop, way), "seconds": time.monotonic() - started})
    return rows


def found(world: World, loop: Inside, way: Tried) -> dict[str, Any]:
    """Return the lift that one experiment measures."""
    visits = [visit(world, number, loop, way.surfaces, blind=way.blind) for number in world.testers()]
    result = conversion({one.shopper: len(one.orders) for one in visits}, visits)
    return asdict(result) | {"covers_0": not result.excludes_zero}


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return for each null the share of its runs whose interval covers 0, and for the demo that which leaves it out."""

    def covering(name: str) -> float:
        covers = [bool(row["covers_0"]) for row in rows if row["tried"] == name]
        return sum(covers) / len(covers)

    nulls = {f"{way.name}_covers_0": covering(way.name) for way in WAYS if way.is_null}
    return nulls | {f"{way.name}_excludes_0": 1 - covering(way.name) for way in WAYS if not way.is_null}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write build/bench/demo_nulls.json; exit with a message if an interval misses 0 too often under a null."""
    parser = argparse.ArgumentParser(prog="make bench ONLY=demo", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many, from 1 on (default {SEEDS})")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the JSON goes ({OUT})")
    asked = parser.parse_args(arguments)
    told, started = Told(), time.monotonic()
    seeds = range(1, asked.seeds + 1)
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        rows = [row for some in told.each(pool.map(try_seed, seeds), "seeds tried", asked.seeds) for row in some]
    shares = ratios(rows)
    whole = {"rows": rows, "ratios": shares, "seconds": round(time.monotonic() - started, 1)}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n")
    for name, share in shares.items():
        told.say(f"{name}: {share:.0%} of {asked.seeds} seeds")
    told.say(f"{asked.out} written")
    missed = [way.name for way in WAYS if way.is_null and shares[f"{way.name}_covers_0"] < ENOUGH / SEEDS]
    if missed:
        sys.exit(f"the interval misses 0 too often under {' and '.join(missed)}")


if __name__ == "__main__":
    main()
