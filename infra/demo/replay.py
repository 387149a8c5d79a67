"""`make replay`: a real event file through Beckon's HTTP API, then a retrain, and one JSON line of what came of it."""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import batched
from pathlib import Path
from typing import Any

from beckon.values import DAY_MS, iso
from infra.demo import rows
from infra.demo.client import ITEMS_A_REQUEST, Beckon, Failed, side_by_side
from infra.demo.evidence import SHOP, Evidence
from infra.demo.live import Tally
from infra.demo.messages import Message
from infra.demo.progress import Told
from infra.local.stack import LocalStack

BATCH = 100  # events a request: far below 500 KB
CONNECTION = ("BECKON_URL", "BECKON_WRITE_KEY", "BECKON_SECRET_KEY")
MEASURED = (
    "holdout, popularity and last_item: whether the next item after a person's history is among ten, of all items; "
    "repeat: next items that the person had met before, new: the others"
)


def replay(
    data: Path, items: Path | None, environment: Mapping[str, str], told: Told, shop: str = SHOP
) -> dict[str, Any]:
    """Send a file's rows and items to the stack of `environment`, retrain, and return what came of it.

    Raises:
        BadFile: a file cannot be read.
        Failed: a promise was broken: sent = accepted + rejected, rows new in the lake = accepted − duplicates.
    """
    started = time.monotonic()
    span = rows.look(data)
    _say_shift(span, told)
    evidence = Evidence(environment, shop)
    before = evidence.stored("events").rows
    with Beckon(*(environment[name] for name in CONNECTION)) as beckon:
        if items is not None:
            catalogue = list(rows.items(items))
            for batch in told.each(list(batched(catalogue, ITEMS_A_REQUEST, strict=False)), "item batches of 500 put"):
                beckon.put_items(batch)
        tally = _send(beckon, data, span, told)
        with told.stage("waiting for the lake, compacting it, retraining"):
            beckon.drain()
            beckon.run("compact")
            beckon.run("retrain")
    stored = evidence.stored("events")
    check(tally, span.rows, stored.rows - before)
    return _summary(tally, stored.rows, evidence) | {"seconds": round(time.monotonic() - started, 1)}


def check(tally: Tally, in_file: int, new_in_lake: int) -> None:
    """Check what Beckon said against the file and the lake.

    Raises:
        Failed: an event was lost or doubled.
    """
    if not in_file == tally.sent == tally.accepted + len(tally.rejected):
        raise Failed(
            f"{in_file} rows, {tally.sent} sent, but {tally.accepted} accepted + {len(tally.rejected)} rejected"
        )
    if new_in_lake != tally.accepted - tally.duplicates:
        raise Failed(
            f"the lake gained {new_in_lake} events from {tally.accepted} accepted, {tally.duplicates} of those again"
        )


def _send(beckon: Beckon, data: Path, span: rows.Span, told: Told) -> Tally:
    """Send the rows in the file's order, by a sender whose clock stood at the file's last time when it began."""
    tally = Tally()
    began = time.time_ns() // 1_000_000

    def send(batch: Sequence[Message]) -> int:
        clock = span.last + time.time_ns() // 1_000_000 - began
        tally.add(len(batch), beckon.send(batch, iso(clock)))
        return len(batch)

    messages = (rows.message(row, span.form) for row in rows.read(data))
    for _ in told.each(_counted(side_by_side(send, batched(messages, BATCH, strict=False))), "events sent", span.rows):
        pass
    told.say(f"{tally.accepted:,} accepted ({tally.duplicates:,} of them again), {len(tally.rejected):,} rejected")
    for reason, times in Counter(f"{one['code']}: {one['field'] or 'message'}" for one in tally.rejected).items():
        told.say(f"  {times:,} rejected, {reason}")
    for note, times in tally.notes.items():
        told.say(f"  {times:,} {note}")
    return tally


def _counted(sizes: Iterator[int]) -> Iterator[None]:
    for size in sizes:
        yield from (None for _ in range(size))


def _say_shift(span: rows.Span, told: Told) -> None:
    shift = time.time_ns() // 1_000_000 - span.last
    told.say(f"{span.rows:,} rows from {iso(span.first)} to {iso(span.last)}; times are {span.form}")
    if span.unreadable:
        told.say(f"{span.unreadable:,} rows have no readable time: they are sent as they are, for Beckon to refuse")
    days = abs(shift) / DAY_MS
    told.say(f"all times are moved by {days:,.1f} days {'forward' if shift >= 0 else 'back'}: the last event is now")


def _summary(tally: Tally, parquet_rows: int, evidence: Evidence) -> dict[str, Any]:
    manifest = evidence.manifest()
    return {
        "sent": tally.sent,
        "accepted": tally.accepted,
        "rejected": len(tally.rejected),
        "duplicates": tally.duplicates,
        "parquet_rows": parquet_rows,
        "users": len(evidence.distinct("events", "user_key")),
        "items": len(evidence.distinct("events", "item")),
        "model_id": manifest["model_id"],
        "measured": MEASURED,
        **manifest["metrics"],
    }


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make replay", description=__doc__)
    parser.add_argument("data", type=Path, help="CSV, plain or gzip: user,item,timestamp[,event,price,…]")
    parser.add_argument("items", type=Path, nargs="?", help="JSON lines, plain or gzip: {item, title?, attributes?, …}")
    parser.add_argument(
        "--url",
        help="a running local stack (make up); its environment is read from build/local/env "
        "as `set -a; . build/local/env` sets it. Default: a stack of its own",
    )
    parser.add_argument("--key", help="write key of the running stack, else BECKON_WRITE_KEY")
    parser.add_argument("--shop", default=SHOP, help=f"whose key that is (default {SHOP})")
    return parser.parse_args(arguments)


def _running(asked: argparse.Namespace) -> Mapping[str, str] | None:
    """Return the environment of the running stack that was asked for, None if none was.

    Raises:
        Failed: the environment says less than is needed.
    """
    environment = dict(os.environ)
    environment |= {name: value for name, value in zip(CONNECTION, (asked.url, asked.key), strict=False) if value}
    if "BECKON_URL" not in environment:
        return None
    if missing := [name for name in CONNECTION if not environment.get(name)]:
        raise Failed(f"{' and '.join(missing)} not set; `set -a; . build/local/env` sets what a running stack says")
    return environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; print the JSON line on standard output, everything else on standard error."""
    asked = _arguments(arguments)
    told = Told()
    try:
        with ExitStack() as stack:
            environment = _running(asked)
            if environment is None:
                rows.look(asked.data)  # refuse a bad file before a stack is started for it
                told.say("starting a local stack of its own")
                environment = stack.enter_context(LocalStack()).environment
            summary = replay(asked.data, asked.items, environment, told, asked.shop)
    except (RuntimeError, rows.BadFile) as fault:  # Failed, or the local stack's own: all have a message for a person
        told.say(str(fault), style="red")
        return 1
    print(json.dumps(summary, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
