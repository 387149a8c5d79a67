"""`make demo`: the whole loop on the local stack, on a simulated shop whose truth is known, and what came of it."""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.demo import report
from infra.demo.client import Beckon
from infra.demo.evidence import SHOP, Evidence
from infra.demo.experiment import Plan, make_world
from infra.demo.progress import Told
from infra.demo.stages import Demo
from infra.local.stack import LocalStack

OUT = Path("build/demo")


def run(plan: Plan, environment: Mapping[str, str], told: Told, shop: str = SHOP) -> dict[str, Any]:
    """Run the loop on the stack of `environment`; return the numbers of the report, all but the seconds.

    Raises:
        Failed: a stage or a check failed; the message says which.
    """
    url, write_key, secret_key = (environment[f"BECKON_{name}"] for name in ("URL", "WRITE_KEY", "SECRET_KEY"))
    with Beckon(url, write_key, secret_key) as beckon:
        demo = Demo(make_world(plan), beckon, Evidence(environment, shop), told)
        demo.stock()
        demo.relive()
        manifest = demo.learn()
        visits = demo.test()
        outcomes = demo.prove(manifest["model_id"])
        return {
            "seed": plan.seed,
            "model_id": manifest["model_id"],
            "holdout": holdout(manifest["metrics"]),
            **demo.numbers(visits, outcomes),
            "example": demo.example(),
        }


def holdout(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the manifest's holdout metrics under the report's names."""
    return {
        "recall_at_10": metrics["holdout"]["recall_at_10"],
        "ndcg_at_10": metrics["holdout"]["ndcg_at_10"],
        "popularity_recall_at_10": metrics["popularity"]["recall_at_10"],
    }


def write(numbers: Mapping[str, Any], out: Path) -> None:
    """Write report.json and report.html."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n")
    (out / "report.html").write_text(report.page(numbers))


def summary(numbers: Mapping[str, Any]) -> Table:
    """Return what a person wants to know at the end."""
    conversion, held = numbers["conversion"], numbers["holdout"]
    low, high = conversion["interval"]
    table = Table(title="Beckon on a simulated shop", title_justify="left", show_header=False)
    table.add_row(
        "events",
        f"{numbers['events_sent']:,} sent, {numbers['events_accepted']:,} accepted "
        f"({numbers['events_duplicates']:,} of them again), {numbers['events_rejected']:,} refused",
    )
    table.add_row("lake", f"{numbers['parquet_rows']:,} rows in {numbers['parquet_files']} Parquet file(s)")
    table.add_row(
        "model",
        f"{numbers['model_id']}: recall at 10 {held['recall_at_10']:.3f} "
        f"(most popular: {held['popularity_recall_at_10']:.3f}), nDCG {held['ndcg_at_10']:.3f}",
    )
    table.add_row("served", f"{numbers['recommendations']:,} lists, {numbers['outcomes']:,} outcomes")
    table.add_row("trending", f"{conversion['control']:.1%} of {conversion['control_users']} shoppers bought")
    table.add_row("Beckon", f"{conversion['treatment']:.1%} of {conversion['treatment_users']} shoppers bought")
    table.add_row("lift", f"[bold]{conversion['lift']:+.0%}[/bold], 95 % interval {low:+.0%} to {high:+.0%}")
    table.add_row("checks", "\n".join(f"✓ {claim}" for claim in numbers["checks"]))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="everything random follows from it (default 1)")
    parser.add_argument("--out", type=Path, default=OUT, help="where report.html and report.json go (build/demo)")
    asked = parser.parse_args(arguments)
    started, told = time.monotonic(), Told()
    try:
        told.say("starting the local stack from template.yaml")
        with LocalStack() as stack:
            numbers = run(Plan(asked.seed), stack.environment, told)
    except RuntimeError as fault:  # Failed, or the local stack's own: both have a message for a person
        told.say(f"the demo failed: {fault}", style="red")
        return 1
    numbers["seconds"] = round(time.monotonic() - started, 1)
    write(numbers, asked.out)
    Console().print(summary(numbers))
    print(f"{asked.out}/report.html and report.json written, {numbers['seconds']:.0f} s in all")
    return 0
