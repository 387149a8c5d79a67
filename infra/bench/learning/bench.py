"""`make bench ONLY=learning`: Beckon beside every baseline on real event files, into build/bench/learning.json.

Every baseline may tune for the same number of processor seconds on validation targets, then is fitted once with what
it chose; each runs in a process of its own. Metrics rank all items, ties against the model.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bench.learning.tables import OURS, markdown, ratios
from infra.demo.progress import Told

OUT = Path("build/bench/learning.json")
DATA = Path("../shared/data")
PEERS = Path("build/tools/peers/bin/python")
SECONDS = 60.0  # as long as Beckon may take by its own promise
LONGEST_S = 900
EVENTS = (100_000, 1_000_000, 10_000_000)
QUICK = ("popularity", "item-kNN", "item-kNN + attributes", "implicit ALS", "implicit BPR")
BASELINES = (*QUICK, "two-tower", "NeuMF", "DMF")
NOTES = {
    "implicit ALS": "user factors are solved again from the target's history",
    "implicit BPR": "user factors as fitted: they cannot take the events after the fit",
    "two-tower": "the seed's form: Adam .01, 10 epochs, batch 32, in numpy; user vectors as fitted",
    "NeuMF": "numpy; batch size tuned; user vectors as fitted",
    "DMF": "numpy; batch size tuned; users are their history, items who met them",
}


@dataclass(frozen=True, slots=True)
class Shop:
    """A data set: its events, its items if it says what they are, how targets are held out, and what is compared.

    Where pairs are shuffled the three networks are left out: they know no order, and took most of the run.
    """

    name: str
    variant: str
    data: Path
    items: Path | None
    protocol: str
    baselines: Sequence[str] = BASELINES


class Runner:
    """Starts each measured thing in a process of its own, and keeps what it wrote."""

    def __init__(self, folder: Path, told: Told, seconds: float, longest: float) -> None:
        self.folder, self.told, self.seconds, self.longest = folder, told, seconds, longest
        paths = [str(Path.cwd()), str(Path.cwd() / "layers/core/python")]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}

    def ours(self, what: str, out: Path, *options: str) -> str:
        """Run Beckon's own code; return '' or why it failed."""
        return self._run([sys.executable, "-m", "infra.bench.learning.ours", what, str(out), *options], {})

    def baseline(self, name: str, task: Path, out: Path) -> str:
        """Run a baseline in the peers' environment; return '' or why it failed."""
        command = [str(PEERS), "-m", "infra.bench.learning.baseline", name, str(task), str(out), str(self.seconds)]
        # implicit asks for one BLAS thread, since its own do the work; the others' matrices are too small for two.
        return self._run(command, {"OPENBLAS_NUM_THREADS": "1"})

    def _run(self, command: Sequence[str], extra: Mapping[str, str]) -> str:
        environment = {**self.environment, **extra}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=self.longest
            )
        except subprocess.TimeoutExpired:
            return f"stopped after {self.longest:.0f} s"
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1][:300]

    def shop(self, shop: Shop) -> list[dict[str, Any]]:
        """Return the rows of Beckon, with and without attributes, and of every baseline on one data set."""
        task, out = self.folder / "task.npz", self.folder / "found.json"
        where = ["--data", str(shop.data), "--protocol", shop.protocol]
        said = [] if shop.items is None else ["--items", str(shop.items)]
        if fault := self.ours("task", task, *where, *said):
            raise SystemExit(f"{shop.name}: {fault}")
        rows = []
        for model, has_attributes in zip(OURS, (False, True), strict=True):
            if has_attributes and shop.items is None:
                continue
            fault = self.ours("beckon", out, *where, *(said if has_attributes else ()))
            rows.append(self._row(shop, model, fault, out, has_attributes=has_attributes))
            if model == OURS[0] and not fault:
                rows.append(_last_item(shop, rows[-1]))
        for model in shop.baselines:
            has_attributes = model.endswith("attributes")
            if has_attributes and shop.items is None:
                continue
            fault = self.baseline(model, task, out)
            rows.append(self._row(shop, model, fault, out, has_attributes=has_attributes))
        return rows

    def _row(self, shop: Shop, model: str, fault: str, out: Path, *, has_attributes: bool) -> dict[str, Any]:
        found = {"error": fault} if fault else json.loads(out.read_text())
        kept = {"data": shop.name, "variant": shop.variant, "model": model, "attributes": has_attributes}
        row = kept | {"protocol": shop.protocol} | found | ({"note": NOTES[model]} if model in NOTES else {})
        if not fault and row["recall_at_10"] is not None:
            row["recall_standard_error"] = round(
                (row["recall_at_10"] * (1 - row["recall_at_10"]) / row["targets"]) ** 0.5, 5
            )
        said = fault or f"R@10 {row['recall_at_10']} N@10 {row['ndcg_at_10']} fit {row['seconds_fitting']} s"
        self.told.say(f"{shop.name}, {shop.variant}: {model}: {said}")
        return row

    def growth(self, sizes: Sequence[int]) -> list[dict[str, Any]]:
        """Return what fitting more and more made-up events costs; stop at the first that fails."""
        found: list[dict[str, Any]] = []
        for events in sizes:
            out = self.folder / "growth.json"
            fault = self.ours("growth", out, "--events", str(events))
            found.append({"events": events, "error": fault} if fault else json.loads(out.read_text()))
            self.told.say(f"growth: {found[-1]}")
            if fault:
                break
        return found


def _last_item(shop: Shop, ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of the baseline that repeats a history, newest first, as `make accuracy` measures it."""
    kept = {"data": shop.name, "variant": shop.variant, "model": "last items", "attributes": False}
    return {**kept, "protocol": shop.protocol, **ours["last_item"], "seconds_fitting": None, "peak_mib": None}


def shops(folder: Path, data: Path, run: Runner) -> list[Shop]:
    """Return the data sets of a folder that are there, with the files made of them."""
    found = []
    beauty, described = data / "amazon-beauty.csv.gz", data / "amazon-beauty-items.jsonl.gz"
    if beauty.exists():
        items = described if described.exists() else None
        shuffled = folder / "beauty-shuffled.csv"
        _must(run.ours("shuffle", shuffled, "--data", str(beauty)))
        found += [
            Shop("beauty", "as recorded", beauty, items, "leave-one-out"),
            Shop("beauty", "pairs shuffled", shuffled, items, "leave-one-out", QUICK),
        ]
    if (rees := data / "rees46.csv.gz").exists():
        _must(run.ours("attributes", folder / "rees46-items.jsonl", "--data", str(rees)))
        found.append(Shop("rees46", "as recorded", rees, folder / "rees46-items.jsonl", "temporal"))
    return found


def small(folder: Path, run: Runner) -> list[Shop]:
    """Return the data sets of a smoke run."""
    _must(run.ours("synthetic", folder))
    data, items, shuffled = folder / "synthetic.csv", folder / "synthetic-items.jsonl", folder / "shuffled.csv"
    _must(run.ours("shuffle", shuffled, "--data", str(data)))
    return [
        Shop("synthetic", "as recorded", data, items, "leave-one-out"),
        Shop("synthetic", "pairs shuffled", shuffled, None, "temporal", ("popularity",)),
    ]


def _must(fault: str) -> None:
    if fault:
        raise SystemExit(fault)


def _write(
    out: Path,
    rows: Sequence[Mapping[str, Any]],
    curve: Sequence[Mapping[str, Any]],
    budget: Mapping[str, Any],
    seconds: float,
) -> None:
    load = [round(one, 2) for one in os.getloadavg()]
    whole = {
        "rows": rows,
        "ratios": ratios(rows),
        "growth": curve,
        **budget,
        "load": load,
        "seconds": round(seconds, 1),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write build/bench/learning.json and print its table; exit with a message if anything could not be measured."""
    parser = argparse.ArgumentParser(prog="make bench ONLY=learning", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help=f"folder of amazon-beauty and rees46 ({DATA})")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"processor seconds of tuning, each baseline ({SECONDS:.0f})"
    )
    parser.add_argument("--longest", type=float, default=LONGEST_S, help=f"seconds of one process ({LONGEST_S})")
    parser.add_argument("--smoke", action="store_true", help="a made-up shop and seconds, to see that all of it runs")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the JSON goes ({OUT})")
    asked = parser.parse_args(arguments)
    if not PEERS.exists():
        raise SystemExit(f"the peers are not installed: make {PEERS.parent.parent}/synced")
    told, began = Told(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = Runner(folder, told, 0.1 if asked.smoke else asked.seconds, asked.longest)
        chosen = small(folder, run) if asked.smoke else shops(folder, asked.data, run)
        if not chosen:
            raise SystemExit(f"no amazon-beauty.csv.gz or rees46.csv.gz in {asked.data}: say where, with DATA=folder")
        rows: list[dict[str, Any]] = []
        curve: list[dict[str, Any]] = []
        for shop in [*chosen, None]:  # what was measured is written at once: a whole run takes a quarter of an hour
            if shop is None:
                curve = run.growth((2_000, 4_000) if asked.smoke else EVENTS)
            else:
                rows += run.shop(shop)
            _write(asked.out, rows, curve, {"tuning_seconds_of_each_baseline": run.seconds}, time.monotonic() - began)
    print(markdown(rows))
    told.say(f"{asked.out} written")
    if failed := [f"{row['model']} on {row['data']}" for row in rows if row.get("error")]:
        raise SystemExit(f"could not be measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
