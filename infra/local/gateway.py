"""API Gateway's HTTP API in front of the functions: payload format 2.0, CORS, and its own answers.

Not here: throttling, authorizers and its time-out of 30 s.
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.parts import Cors, Route
from infra.local.runtime import Functions
from infra.local.template import ACCOUNT

MAX_BODY_BYTES = 10 * 1024 * 1024
_DEFAULT = "$default"
_PARAMETER = re.compile(r"\\\{(\w+)(\\\+)?\\\}")
_TEXT = re.compile(r"text/.*|application/(.*\+)?(json|xml|javascript)")


@dataclass(frozen=True, slots=True)
class _Match:
    route: Route
    parameters: Mapping[str, str]

    @property
    def key(self) -> str:
        return _DEFAULT if self.route.path == f"/{_DEFAULT}" else f"{self.route.method} {self.route.path}"


class Gateway:
    """The routes of the template's HTTP API."""

    def __init__(self, routes: Sequence[Route], cors: Cors, functions: Functions) -> None:
        self._routes = [(_pattern(route.path), route) for route in sorted(routes, key=_precedence)]
        self._cors = cors
        self._functions = functions

    async def serve(self, request: Request) -> Response:
        """Return what API Gateway would answer."""
        if _is_preflight(request) and self._cors.origins:
            response = Response(status_code=HTTPStatus.NO_CONTENT)
        else:
            response = await self._answer(request)
        response.headers["apigw-requestid"] = uuid.uuid4().hex[:16]
        self._allow(request, response)
        return response

    async def _answer(self, request: Request) -> Response:
        match = self._match(request.method, request.scope["path"])
        if match is None:
            return _message(HTTPStatus.NOT_FOUND, "Not Found")
        body = await _body(request)
        if body is None:
            return _message(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request Entity Too Large")
        answer = await self._functions.invoke(match.route.function, json.dumps(_event(request, match, body)).encode())
        try:
            return _response(answer.body) if answer.error is None else _failure()
        except (TypeError, ValueError, AttributeError):  # not an answer that the gateway understands
            return _failure()

    def _match(self, method: str, path: str) -> _Match | None:
        for pattern, route in self._routes:
            found = pattern.fullmatch(path)
            if found and route.method in (method, "ANY"):
                return _Match(route, found.groupdict())
        return None

    def _allow(self, request: Request, response: Response) -> None:
        """Set the CORS headers; with a CorsConfiguration the gateway drops a function's own."""
        cors, origin = self._cors, request.headers.get("origin")
        if not cors.origins:
            return
        for name in [name for name in response.headers if name.startswith("access-control-")]:
            del response.headers[name]
        if origin is None or not any(_allows(allowed, origin) for allowed in cors.origins):
            return
        is_open = "*" in cors.origins and not cors.credentials
        headers = {"access-control-allow-origin": "*" if is_open else origin}
        if cors.credentials:
            headers["access-control-allow-credentials"] = "true"
        if _is_preflight(request):
            headers["access-control-allow-methods"] = ",".join(cors.methods)
            headers["access-control-allow-headers"] = ",".join(cors.headers)
            if cors.max_age_s is not None:
                headers["access-control-max-age"] = str(cors.max_age_s)
        elif cors.exposed:
            headers["access-control-expose-headers"] = ",".join(cors.exposed)
        response.headers.update({name: value for name, value in headers.items() if value})


def _precedence(route: Route) -> tuple[int, int, int, bool]:
    """Sort as API Gateway chooses: full paths, parameters, greedy ones, $default; and a method before ANY."""
    greedy = "+}" in route.path
    rank = 3 if route.path == f"/{_DEFAULT}" else 2 if greedy else 1 if "{" in route.path else 0
    return rank, route.path.count("{"), -len(route.path), route.method == "ANY"


def _pattern(path: str) -> re.Pattern[str]:
    if path == f"/{_DEFAULT}":
        return re.compile(".*", re.DOTALL)
    return re.compile(_PARAMETER.sub(lambda p: f"(?P<{p[1]}>{'.+' if p[2] else '[^/]+'})", re.escape(path)))


def _is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "access-control-request-method" in request.headers


def _allows(allowed: str, origin: str) -> bool:
    return allowed == "*" or re.fullmatch(re.escape(allowed).replace(r"\*", ".*"), origin) is not None


async def _body(request: Request) -> bytes | None:
    """Return the body; None if it is larger than the gateway takes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _event(request: Request, match: _Match, body: bytes) -> dict[str, Any]:
    now = time.time()
    headers = _joined(request.headers)
    cookies = headers.pop("cookie", None)
    path, query = request.scope["path"], request.url.query
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": match.key,
        "rawPath": path,  # decoded, as an HTTP API passes it
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": headers.get("host", ""),
            "domainPrefix": "local",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": f"HTTP/{request.scope['http_version']}",
                "sourceIp": request.client.host if request.client else "",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": match.key,
            "stage": _DEFAULT,
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies is not None:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if query:
        pairs = parse_qsl(query, keep_blank_values=True)
        event["queryStringParameters"] = {
            name: ",".join(value for other, value in pairs if other == name) for name, _ in pairs
        }
    if match.parameters:
        event["pathParameters"] = dict(match.parameters)
    if body:
        text = _text(headers, body)
        event["isBase64Encoded"] = text is None
        event["body"] = base64.b64encode(body).decode() if text is None else text
    return event


def _joined(headers: Headers) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers.items():  # names come in lower case
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _text(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return a body that API Gateway passes as text; None for one that it passes in base64."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if headers.get("content-encoding", "identity").lower() != "identity" or not _TEXT.fullmatch(kind):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _response(answer: Any) -> Response:
    """Return a function's answer as HTTP: format 2.0, or any other JSON as the body of a 200."""
    if not (isinstance(answer, dict) and "statusCode" in answer):
        return Response(json.dumps(answer).encode(), media_type="application/json")
    body = answer.get("body") or ""
    content = body if isinstance(body, str) else json.dumps(body)
    response = Response(
        base64.b64decode(content) if answer.get("isBase64Encoded") else content.encode(),
        int(answer["statusCode"]),
        {name.lower(): str(value) for name, value in (answer.get("headers") or {}).items()},
    )
    for cookie in answer.get("cookies") or []:
        response.headers.append("set-cookie", cookie)
    return response


def _failure() -> Response:
    return _message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")


def _message(status: HTTPStatus, text: str) -> Response:
    return JSONResponse({"message": text}, status)
