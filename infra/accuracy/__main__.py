"""Command line of `make accuracy`: one JSON line on standard output, progress on standard error."""

import argparse
import json
import sys
from pathlib import Path

from infra.accuracy.accuracy import PROTOCOLS, accuracy
from infra.demo.progress import Told
from infra.demo.rows import BadFile


def main() -> int:
    """Return 0, or 2 for a file that cannot be read."""
    parser = argparse.ArgumentParser(prog="make accuracy", description=__doc__)
    parser.add_argument("data", type=Path, help="CSV, plain or gzip: user,item,timestamp[,event]")
    parser.add_argument("--items", type=Path, help="JSON lines, plain or gzip: item, categories, attributes")
    parser.add_argument("--protocol", choices=PROTOCOLS, default=PROTOCOLS[0])
    parser.add_argument("--predictions", type=Path, help="CSV to write: user,rank,item, 20 a user")
    given = parser.parse_args()
    try:
        found = accuracy(given.data, given.items, given.protocol, given.predictions, Told())
    except BadFile as fault:
        print(fault, file=sys.stderr)
        return 2
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
