"""Where a function that runs alone invokes others: accepted and remembered, not run."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.local.processes import HOST


@dataclass(frozen=True, slots=True)
class Invocations:
    """What was asked for at `url`, Lambda's Invoke API, in order: the function's name and its event."""

    url: str
    asked: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def invocations() -> Iterator[Invocations]:
    """Yield an Invoke API that answers every asynchronous invocation as Lambda does, and runs nothing."""
    asked: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            _, name, _ = self.path.rsplit("/", 2)  # /2015-03-31/functions/<name>/invocations
            asked.append((name, json.loads(body or b"{}")))
            self.send_response(HTTPStatus.ACCEPTED)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
            """Say nothing: the caller reads what was asked for."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Invocations(f"http://{HOST}:{server.server_port}", asked)
        finally:
            server.shutdown()
