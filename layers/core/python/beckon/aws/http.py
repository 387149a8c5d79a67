"""HTTP in and out of a function: routing, keys, bodies, and the one map from a caller's mistake to problem+json."""

import base64
import binascii
import time
import zlib
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from beckon.aws.log import canonical_line
from beckon.aws.transactions import PASSING_REASONS
from beckon.values import Refused

PROBLEM_TYPE = "https://beckon.dev/problems/"
MAX_BODY_BYTES = 500 * 1024

STATUS = {
    "malformed-body": 400,
    "invalid-request": 400,
    "bad-shop": 400,
    "unknown-key": 401,
    "missing-key": 401,
    "bad-user-token": 403,
    "forbidden": 403,
    "not-found": 404,
    "conflict": 409,
    "body-too-large": 413,
    "unavailable": 503,
}

# The request's log line. Not the resolver's context: Powertools empties that before `resolve` returns.
_noted: ContextVar[dict[str, Any]] = ContextVar("noted")

# Faults of AWS that pass by themselves: the sender keeps its events and sends again.
_PASSING = {
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "TransactionConflictException",
    "SlowDown",
}


def now_ms() -> int:
    """Return the clock in UTC ms; read once a request, then passed on as an argument."""
    return time.time_ns() // 1_000_000


def resolver() -> APIGatewayHttpResolver:
    """Return a router for HTTP API events that answers every mistake as problem+json."""
    app = APIGatewayHttpResolver(serializer=lambda body: orjson.dumps(body).decode())

    @app.exception_handler(Refused)
    def refused(fault: Refused) -> Response[str]:
        return problem(fault.code, fault.detail, fault.field)

    @app.exception_handler([ClientError, BotoCoreError])
    def aws_fault(fault: ClientError | BotoCoreError) -> Response[str]:
        code = _passing_code(fault)
        if code is None:
            raise fault
        note(error=code)
        return problem("unavailable", "storage is busy; nothing of this request was lost if you send it again")

    @app.not_found
    def unknown_route(_: NotFoundError) -> Response[str]:
        event = app.current_event
        return problem("not-found", f"no route {event.http_method} {event.path}; check the method and the path")

    return app


def serve(name: str, app: APIGatewayHttpResolver, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the route's answer, and write the request's one log line. Any other fault raises and is a 500."""
    with canonical_line(name, context.aws_request_id, route=event.get("routeKey")) as line:
        _noted.set(line)
        answer = app.resolve(_addressed(event), context)
        line["status"] = answer.get("statusCode")
        return answer


def note(**fields: Any) -> None:
    """Add fields to the request's log line."""
    _noted.get().update(fields)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[str]:
    """Return a JSON answer."""
    return Response(status, "application/json", orjson.dumps(body).decode(), headers=dict(headers or {}))


def problem(code: str, detail: str, field: str | None = None) -> Response[str]:
    """Return an RFC 9457 problem; `code` and `message` repeat it in the words Segment's SDKs read."""
    body = problem_body(code, detail, field)
    headers = {"Retry-After": "2"} if body["status"] == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(body["status"], "application/problem+json", orjson.dumps(body).decode(), headers=dict(headers))


def problem_body(code: str, detail: str, field: str | None = None) -> dict[str, Any]:
    """Return the members of a problem."""
    status = STATUS[code]
    body: dict[str, Any] = {
        "type": PROBLEM_TYPE + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "message": detail,
    }
    return body if field is None else body | {"field": field}


def body_bytes(event: Any, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the request's body as sent: base64 undone, gzip inflated up to `limit` bytes and no further.

    Raises:
        Refused: the body is larger than `limit`, or is not the gzip it claims to be.
    """
    raw: str = event.raw_event.get("body") or ""
    try:
        body = base64.b64decode(raw) if event.raw_event.get("isBase64Encoded") else raw.encode("utf-8", "surrogatepass")
        if (event.headers.get("content-encoding") or "").lower() == "gzip":
            inflater = zlib.decompressobj(wbits=31)
            body = inflater.decompress(body, limit + 1)
            if len(body) <= limit and not inflater.eof:
                raise Refused("malformed-body", "the gzip body ends early; send it again whole")
    except (binascii.Error, zlib.error) as fault:
        raise Refused("malformed-body", f"the body cannot be decoded ({fault}); check Content-Encoding") from None
    if len(body) > limit:
        raise Refused("body-too-large", f"the body is larger than {limit} bytes; split it")
    return body


def json_body(event: Any, limit: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """Return the body as a JSON object.

    Raises:
        Refused: too large, not JSON (NaN and invalid UTF-8 included), or not an object.
    """
    try:
        parsed = orjson.loads(body_bytes(event, limit))
    except orjson.JSONDecodeError as fault:
        raise Refused("malformed-body", f"the body is not JSON: {fault}") from None
    if not isinstance(parsed, dict):
        raise Refused("malformed-body", f"the body must be a JSON object, not {type(parsed).__name__}")
    return parsed


def parse[Model: BaseModel](model: type[Model], body: Any) -> Model:
    """Return `body` as `model`.

    Raises:
        Refused: names the first field at fault and says what it should be.
    """
    try:
        return model.model_validate(body)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        more = f" (and {fault.error_count() - 1} more)" if fault.error_count() > 1 else ""
        wrong = (
            "unknown field; leave it out or check its spelling" if first["type"] == "extra_forbidden" else first["msg"]
        )
        raise Refused("invalid-request", f"{field or 'body'}: {wrong}{more}", field) from None


def presented_key(event: Any) -> str | None:
    """Return the key the caller presented: Basic user name with empty password, or a Bearer token; None if neither."""
    scheme, _, rest = (event.headers.get("authorization") or "").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip() or None
        case "basic":
            try:
                name, _, _ = base64.b64decode(rest, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
            return name or None
    return None


def _addressed(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with its path as the route names it and the path's parameters percent-encoded.

    An HTTP API gives the path decoded: `/v1/items/a%2Fb` would look like a longer path. Its `pathParameters`, decoded
    too, keep the parts apart.
    """
    given = event.get("pathParameters")
    if not given:
        return event
    _, _, path = event["routeKey"].partition(" ")
    for name, value in given.items():
        path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass"))
    return event | {"rawPath": path}


def _passing_code(fault: ClientError | BotoCoreError) -> str | None:
    """Return the code of a fault that passes by itself; None if it does not."""
    if isinstance(fault, BotoCoreError):
        return "ServiceUnavailable"
    reasons = fault.response.get("CancellationReasons", [])  # why a transaction was cancelled
    codes = [fault.response["Error"]["Code"], *(reason.get("Code", "") for reason in reasons)]
    return next((code for code in codes if code in _PASSING | PASSING_REASONS), None)
