"""collect: messages of trackers and servers in, a verdict on each out, once all that is accepted is durable."""

from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import Response

from beckon.aws.collecting import Collector
from beckon.aws.http import answer, note, now_ms, resolver, serve
from beckon.aws.wiring.collect import collector

app = resolver()


@cache
def service() -> Collector:
    """Built from the environment on first use, then kept for the container's life."""
    return collector()


@app.post("/v1/<route>")
def take(route: str) -> Response[str]:
    """Return how many messages were accepted, how many of them were known, and why others were rejected."""
    verdict = service().take(app.current_event, route, now_ms())
    note(accepted=verdict.accepted, duplicates=verdict.duplicates, rejected=len(verdict.rejected))
    return answer(verdict.to_answer())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a request of the HTTP API."""
    return serve("collect", app, event, context)
