"""One JSON line per request or batch, written when it ends, whatever happens. Never personal data, raw ids or keys."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

_started: set[str] = set()


@contextmanager
def canonical_line(function: str, request_id: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """Yield the line's fields to be filled in; print it with its milliseconds when the block ends."""
    line: dict[str, Any] = {"function": function, "request_id": request_id, "cold": function not in _started, **fields}
    _started.add(function)
    started = time.perf_counter()
    try:
        yield line
    except BaseException as fault:
        line["error"] = type(fault).__name__
        raise
    finally:
        line["ms"] = round((time.perf_counter() - started) * 1000, 2)
        sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
