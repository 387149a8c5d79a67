"""`python -m infra.build`: build for both processors and weigh; `… invoke NAME [EVENT.json]`: run one function."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.build import sam
from infra.build.invoke import Refusal, invoke
from infra.build.rie import NotRunnable
from infra.build.sam import ARCHITECTURES, ROOT, BuildFailed
from infra.build.sizes import LIMIT_MIB, Weight, report, weigh

REPORT = ROOT / "build" / "size" / "report.json"


def main(arguments: list[str]) -> int:
    """Return the exit status: 1 when a function is too heavy or failed, 2 when the command was wrong."""
    parser = argparse.ArgumentParser(prog="python -m infra.build", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    run = commands.add_parser("invoke", help="run one built function on an event")
    run.add_argument("function", help="the name of its folder")
    run.add_argument("event", nargs="?", type=Path, help="JSON file; tests/fixtures/events has one for each")
    given = parser.parse_args(arguments)
    try:
        return _invoke(given.function, given.event) if given.command == "invoke" else _build()
    except (BuildFailed, NotRunnable, Refusal) as fault:
        sys.stderr.write(f"{fault}\n")
        return 2


def _build() -> int:
    weights = []
    for architecture in ARCHITECTURES:
        sys.stderr.write(f"{architecture}: {'unchanged' if sam.is_built(architecture) else 'building'}\n")
        sam.build(architecture, sam.say)
        weights += weigh(sam.functions(architecture).values(), architecture)
    told = report(weights)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(told, indent=2) + "\n")
    Console().print(_table(weights))
    if told["over"]:
        sys.stderr.write(f"too heavy: {', '.join(told['over'])}\n")
    return 1 if told["over"] else 0


def _invoke(name: str, event: Path | None) -> int:
    measured = invoke(name, event)
    sys.stderr.write(
        f"{name} by {measured.runner}: init {_or_unknown(measured.init_ms, 'ms')}, "
        f"duration {_or_unknown(measured.duration_ms, 'ms')}, peak {_or_unknown(measured.peak_mib, 'MiB')}\n"
    )
    sys.stdout.write(json.dumps(dataclasses.asdict(measured)) + "\n")
    return 1 if measured.failed else 0


def _table(weights: list[Weight]) -> Table:
    table = Table(title=f"MiB unzipped, function with its layers (Lambda's limit: {LIMIT_MIB})", title_justify="left")
    table.add_column("function")
    for architecture in ARCHITECTURES:
        table.add_column(architecture, justify="right")
    table.add_column("limit", justify="right")
    table.add_column("layers")
    for first in (weight for weight in weights if weight.architecture == ARCHITECTURES[0]):
        both = {weight.architecture: weight for weight in weights if weight.function == first.function}
        cells = [("[red]" if both[a].is_over else "") + f"{both[a].mib:.1f}" for a in ARCHITECTURES]
        table.add_row(first.function, *cells, str(first.limit_mib), " + ".join(first.layers))
    return table


def _or_unknown(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value} {unit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
