"""Real event files: rows of a CSV as messages of `POST /v1/batch`, under keys that a second sending repeats.

A message's id is the digest of its row, and its `timestamp` the row's own time. Keys are made of those two, so sending
a file again makes the same keys, however much later. The file is moved to today by its sender's clock (`replay`).
"""

import csv
import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from beckon.values import SECOND_MS, iso, time_ms

type TimeFormat = Literal["epoch seconds", "epoch milliseconds", "ISO 8601"]
type Row = dict[str, str]

NEEDED = ("user", "item", "timestamp")
DEFAULT_EVENT = "view"
NO_TIME = "(empty)"  # a message without a time would mean now
NUMBERS = frozenset({"price", "value", "quantity"})
_TYPES = frozenset({"view", "click", "cart", "remove", "purchase", "refund", "search", "impression", "rating"})
_LATEST_MS = 10**13 - 1  # the year 2286, Beckon's own limit: beyond it, what looks like seconds is milliseconds
_GZIP = b"\x1f\x8b"


class BadFile(ValueError):
    """The file cannot be replayed; the message says why and what would do."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a first look at a file found: its rows, the form of its times, the first and last of them in UTC ms."""

    rows: int
    unreadable: int
    form: TimeFormat
    first: int
    last: int


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file, plain or gzip, by column name; cells that a short row lacks are empty.

    Raises:
        BadFile: there is no such file, it is not CSV text, or a needed column is missing.
    """
    with _opened(path) as lines:
        reader = csv.reader(lines)
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in NEEDED if name not in header]:
            raise BadFile(
                f"{path} has no column {' or '.join(missing)}: it needs user,item,timestamp[,event,…] "
                f"and has {', '.join(header)[:200] or 'nothing'}"
            )
        for cells in reader:
            if cells:
                yield dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=False))


def look(path: Path) -> Span:
    """Read a file once and return its span; its times have one form, that of the first row with a time.

    Raises:
        BadFile: as `read`, or no row has a time.
    """
    rows = unreadable = 0
    form: TimeFormat | None = None
    first, last = _LATEST_MS, -_LATEST_MS
    for row in read(path):
        rows += 1
        form = form or _form(row["timestamp"])
        ts = time_of(row["timestamp"], form) if form else None
        if ts is None:
            unreadable += 1
        else:
            first, last = min(first, ts), max(last, ts)
    if form is None or first > last:
        raise BadFile(f"{path} has {rows} rows and no time: epoch seconds, epoch milliseconds or ISO 8601 would do")
    return Span(rows, unreadable, form, first, last)


def time_of(text: str, form: TimeFormat) -> int | None:
    """Return a cell's time in UTC ms, None if it is not one of that form."""
    try:
        if form == "ISO 8601":
            return time_ms(text.strip().removesuffix("UTC").strip())
        ts = round(float(text) * (SECOND_MS if form == "epoch seconds" else 1))
    except (ValueError, OverflowError):
        return None
    return ts if 0 <= ts <= _LATEST_MS else None


def message(row: Row, form: TimeFormat) -> dict[str, Any]:
    """Return a row as a `track` message. What is wrong in the row is left wrong: Beckon refuses it with a reason.

    An event type that Beckon does not know becomes `custom` there. Further columns become properties.
    """
    ts = time_of(row["timestamp"], form)
    event = row.get("event", DEFAULT_EVENT).strip()
    properties = {
        name: _cell(name, cell) for name, cell in row.items() if cell and name not in {"user", "event", "timestamp"}
    }
    return {
        "type": "track",
        "messageId": hashlib.sha256(json.dumps(list(row.items())).encode()).hexdigest()[:32],
        "userId": row["user"].strip(),
        "event": event.lower() if event.lower() in _TYPES else event,
        "timestamp": iso(ts) if ts is not None else row["timestamp"].strip() or NO_TIME,
        "properties": properties,
    }


def items(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the items of a JSON-lines file in the words of `POST /v1/items`; an item without title is called by its id.

    Raises:
        BadFile: there is no such file, or a line is not a JSON object with `item`.
    """
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                found = json.loads(line, parse_constant=_no_number)
                name = found.pop("item")
            except (ValueError, KeyError, AttributeError, TypeError):
                name = None
            if name is None:
                raise BadFile(f'{path}, line {number}: not a JSON object with "item"') from None
            attributes = found.pop("attributes", None) or {}
            if isinstance(attributes, list):
                attributes = {"attribute": attributes}
            yield {"title": str(name)} | found | {"id": str(name), "attributes": attributes}


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
        opener = gzip.open if packed else open
        with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as text:
            yield text
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}") from None
    except (OSError, EOFError, zlib.error, csv.Error) as fault:
        raise BadFile(f"{path} cannot be read: {fault}") from fault


def _form(text: str) -> TimeFormat | None:
    forms: tuple[TimeFormat, ...] = ("epoch seconds", "epoch milliseconds", "ISO 8601")
    return next((form for form in forms if time_of(text, form) is not None), None)


def _cell(name: str, cell: str) -> str | float:
    if name in NUMBERS:
        try:
            number = float(cell)
        except ValueError:
            return cell
        if math.isfinite(number):
            return int(number) if number.is_integer() else number
    return cell


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
