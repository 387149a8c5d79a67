"""manage: a shop's catalogue, models and profiles by HTTP; shops and their keys by direct invocation."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from beckon import VERSION
from beckon.aws.http import answer, now_ms, resolver, serve
from beckon.aws.log import canonical_line
from beckon.aws.manage import items, models, operator, users

app = resolver()
items.add_to(app)
models.add_to(app)
users.add_to(app)


@app.get("/healthz")
def health() -> Response[str]:
    """Say that requests arrive here, without asking for a key."""
    return answer({"status": "ok", "version": VERSION})


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the answer to one HTTP request, or to one command."""
    if "requestContext" in event:
        return serve("manage", app, event, context)
    with canonical_line("manage", context.aws_request_id, command=event.get("command")) as line:
        done = operator.command(event, now_ms())
        line["error"] = done.get("error", {}).get("code")
        return done
