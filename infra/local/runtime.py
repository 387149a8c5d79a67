"""Runs functions as Lambda does: workers ask the Lambda runtime API, which is here, for work.

Each worker is told a port of its own, so that the port a request arrives at says which worker asks.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.parts import Function
from infra.local.processes import aws_environment
from infra.local.worker import Answer, Worker

MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
_RUNTIME_API = "/2018-06-01/runtime"
_WORKERS = max(2, min(4, os.cpu_count() or 1))


class Functions:
    """Every function of the template, each with a few workers that start when they are needed."""

    def __init__(self, found: Sequence[Function], endpoint: str, logs: Path) -> None:
        self.by_name = {function.name: function for function in found}
        self._environment = aws_environment(endpoint)
        self._logs = logs
        self._workers: dict[int, Worker] = {}
        self._idle: dict[str, list[Worker]] = {name: [] for name in self.by_name}
        self._free = {name: asyncio.Semaphore(_WORKERS) for name in self.by_name}
        self.invocations = 0

    @property
    def ports_needed(self) -> int:
        """How many ports the runtime API must listen on."""
        return _WORKERS * len(self.by_name)

    def open(self, ports: Sequence[int], invoke_url: str) -> None:
        """Take the ports of the runtime API, one a worker, and the URL at which functions invoke each other."""
        self._logs.mkdir(parents=True, exist_ok=True)
        unused = iter(ports)
        for function in self.by_name.values():
            # The way to AWS comes last: no variable of the template leads anywhere else.
            environment = {
                **_environment(function),
                **function.environment,
                **self._environment,
                "AWS_ENDPOINT_URL_LAMBDA": invoke_url,
            }
            for _ in range(_WORKERS):
                port = next(unused)
                worker = Worker(function, port, environment, self._logs / f"{function.name}.log")
                self._workers[port] = worker
                self._idle[function.name].append(worker)

    async def invoke(self, name: str, payload: bytes, request_id: str | None = None) -> Answer:
        """Return what function `name` answers to `payload`.

        Raises:
            LookupError: no such function.
        """
        if name not in self.by_name:
            raise LookupError(f"no function {name}; there are {', '.join(sorted(self.by_name))}")
        self.invocations += 1
        async with self._free[name]:
            worker = self._idle[name].pop()  # the one used last, which is warm
            try:
                return await worker.run(payload, request_id or str(uuid.uuid4()))
            finally:
                self._idle[name].append(worker)

    async def recycle(self) -> None:
        """Let every function start afresh, so that none serves what it keeps in memory."""
        for worker in self._workers.values():
            await worker.recycle()

    async def stop(self) -> None:
        """End every process."""
        for worker in self._workers.values():
            await worker.stop()

    def routes(self) -> list[Route]:
        """Return the runtime API that the workers' processes call."""
        return [
            Route(f"{_RUNTIME_API}/invocation/next", self._by_port(_next)),
            Route(f"{_RUNTIME_API}/invocation/{{request_id}}/response", self._by_port(_respond), methods=["POST"]),
            Route(f"{_RUNTIME_API}/invocation/{{request_id}}/error", self._by_port(_report), methods=["POST"]),
            Route(f"{_RUNTIME_API}/init/error", self._by_port(_report_init), methods=["POST"]),
        ]

    def _by_port(
        self, serve: Callable[[Worker, Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await serve(self._workers[request.scope["server"][1]], request)

        return endpoint


async def _next(worker: Worker, _: Request) -> Response:
    invocation = await worker.next()
    if invocation is None:
        return Response(status_code=HTTPStatus.GONE)
    function = worker.function
    return Response(
        invocation.payload,
        media_type="application/json",
        headers={
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + function.timeout_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": function.arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        },
    )


async def _respond(worker: Worker, request: Request) -> Response:
    request_id, payload = request.path_params["request_id"], await request.body()
    if len(payload) > MAX_PAYLOAD_BYTES:
        text = f"Response payload size ({len(payload)} bytes) exceeded maximum allowed payload size (6291556 bytes)."
        error = json.dumps({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}).encode()
        worker.answer(request_id, Answer(error, "Unhandled"))
        return Response(error, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    worker.answer(request_id, Answer(payload))
    return Response(status_code=HTTPStatus.ACCEPTED)


async def _report(worker: Worker, request: Request) -> Response:
    worker.answer(request.path_params["request_id"], Answer(await request.body(), "Unhandled"))
    return Response(status_code=HTTPStatus.ACCEPTED)


async def _report_init(worker: Worker, request: Request) -> Response:
    worker.fail_init(await request.body())
    return Response(status_code=HTTPStatus.ACCEPTED)


def _environment(function: Function) -> dict[str, str]:
    """Return what Lambda itself tells a function."""
    return {
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": str(function.folder),
        "_HANDLER": function.handler,
        "PYTHONPATH": os.pathsep.join(map(str, (function.folder, *function.layers))),
        "PYTHONUNBUFFERED": "1",
    }
