"""Lambda's Invoke API, so that boto3 inside a function reaches the functions of the stack."""

import json
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.asynchronous import Asynchronous
from infra.local.parts import called
from infra.local.runtime import MAX_PAYLOAD_BYTES, Functions

_MAX_ASYNCHRONOUS_BYTES = 1024 * 1024


def invoke_routes(functions: Functions, asynchronous: Asynchronous) -> list[Route]:
    """Return the one route of the API: RequestResponse, Event and DryRun invocations."""

    async def invoke(request: Request) -> Response:
        name, payload = called(request.path_params["name"]), await request.body() or b"{}"
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        fault = _fault(functions, name, payload, _MAX_ASYNCHRONOUS_BYTES if kind == "Event" else MAX_PAYLOAD_BYTES)
        if fault is not None:
            return fault
        match kind:
            case "DryRun":
                return Response(status_code=HTTPStatus.NO_CONTENT)
            case "Event":
                asynchronous.submit(name, payload)
                return Response(status_code=HTTPStatus.ACCEPTED)
        answer = await functions.invoke(name, payload)
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if answer.error is not None:
            headers["X-Amz-Function-Error"] = answer.error
        return Response(answer.payload, HTTPStatus.OK, headers, "application/json")

    return [Route("/2015-03-31/functions/{name}/invocations", invoke, methods=["POST"])]


def _fault(functions: Functions, name: str, payload: bytes, limit: int) -> Response | None:
    if name not in functions.by_name:
        return _error(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", f"Function not found: {name}")
    if len(payload) > limit:
        text = f"{len(payload)} byte payload is too large for this operation (limit {limit} bytes)"
        return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestTooLargeException", text)
    try:
        json.loads(payload)
    except ValueError as fault:
        return _error(
            HTTPStatus.BAD_REQUEST, "InvalidRequestContentException", f"Could not parse request body: {fault}"
        )
    return None


def _error(status: HTTPStatus, kind: str, text: str) -> Response:
    return JSONResponse({"Type": "User", "Message": text}, status, {"x-amzn-ErrorType": kind})
