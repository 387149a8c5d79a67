"""Runs functions as Lambda does: processes of AWS's own runtime client, which ask the Lambda runtime API for work.

Each worker is told a port of its own, so that the port a request arrives at says which worker asks.
"""

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.parts import Function
from infra.local.processes import HOST, aws_environment, python_module

RUNTIME_API = "/2018-06-01/runtime"
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
# Lambda allows 10 s; two cores that start everything at once need more.
_INIT_S = 60.0
_WORKERS = max(2, min(4, os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an invocation came to; `error` is None, or what Lambda's API says in X-Amz-Function-Error."""

    payload: bytes
    error: str | None = None

    @property
    def body(self) -> Any:
        """The payload as JSON."""
        return json.loads(self.payload or b"null")


@dataclass(slots=True)
class _Invocation:
    payload: bytes
    request_id: str
    is_taken: bool = False
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Worker:
    """One execution environment of a function: at most one process, started when needed, one invocation at a time."""

    def __init__(self, function: Function, port: int, environment: Mapping[str, str], log: Path) -> None:
        self._function = function
        self._environment = {**environment, "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port}"}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[_Invocation | None] = asyncio.Queue()
        self._current: _Invocation | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_served = False
        self._is_killed = False
        self._is_outdated = False

    async def run(self, payload: bytes, request_id: str) -> Answer:
        """Return the answer of the process, or the error that Lambda makes of its silence."""
        await self._end_of_killed()
        self._current = _Invocation(payload, request_id)
        try:
            if self._process is None:
                await self._start()
            self._inbox.put_nowait(self._current)
            return await self._current.answer
        finally:
            self._current = None
            self._set_timer(None)
            if self._is_outdated:
                await self.stop()

    async def recycle(self) -> None:
        """End the process, if busy after its invocation; the next invocation starts a new one."""
        if self._current is None:
            await self.stop()
        else:
            self._is_outdated = True

    async def stop(self) -> None:
        """Kill the process and wait for its end."""
        self._is_outdated = False
        self._kill()
        await self._end_of_killed()

    async def _end_of_killed(self) -> None:
        if self._is_killed and self._watch is not None:
            await self._watch

    # What the process asks through the runtime API.

    async def next(self) -> _Invocation | None:
        """Wait for an invocation and start its time; None when the process that asked has ended."""
        invocation = await self._inbox.get()
        if invocation is not None:
            invocation.is_taken = self._has_served = True
            self._set_timer(self._function.timeout_s)
        return invocation

    def answer(self, request_id: str, answer: Answer) -> None:
        """Take the answer to `request_id`, once."""
        current = self._current
        if current is not None and current.request_id == request_id and not current.answer.done():
            current.answer.set_result(answer)

    def fail_init(self, error: bytes) -> None:
        """Take the error with which the process could not start; it is started anew next time."""
        self._fail(error)
        self._kill()

    async def _start(self) -> None:
        self._inbox = asyncio.Queue()
        self._has_served = False
        self._set_timer(_INIT_S)
        command = python_module("awslambdaric", self._function.handler)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._function.folder,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the stack alone
            )
        self._watch = asyncio.create_task(self._await_end(self._process, self._inbox))

    async def _await_end(self, process: asyncio.subprocess.Process, inbox: asyncio.Queue[_Invocation | None]) -> None:
        status = await process.wait()
        inbox.put_nowait(None)
        self._process = None
        self._is_killed = False
        if self._current is not None and not self._current.is_taken and self._has_served:
            await self._start()  # it ended between two invocations, which is no fault of the second
            self._inbox.put_nowait(self._current)
            return
        how = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        self._fail(_error("Runtime.ExitError", f"Runtime exited with error: {how}", self._current))

    def _expire(self) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        request_id = self._current.request_id if self._current else ""
        text = f"{moment} {request_id} Task timed out after {self._function.timeout_s:.2f} seconds"
        self._note(text)
        self._fail(json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": text}).encode())
        self._kill()

    def _fail(self, error: bytes) -> None:
        if self._current is not None:
            self.answer(self._current.request_id, Answer(error, "Unhandled"))

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self._is_killed = True  # it gets no work while its end goes unnoticed

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._expire)

    def _note(self, text: str) -> None:
        with self._log.open("a") as log:
            log.write(text + "\n")


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
            Route(f"{RUNTIME_API}/invocation/next", self._by_port(_next)),
            Route(f"{RUNTIME_API}/invocation/{{request_id}}/response", self._by_port(_respond), methods=["POST"]),
            Route(f"{RUNTIME_API}/invocation/{{request_id}}/error", self._by_port(_report), methods=["POST"]),
            Route(f"{RUNTIME_API}/init/error", self._by_port(_report_init), methods=["POST"]),
        ]

    def _by_port(self, serve: Callable[[Worker, Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            response: Response = await serve(self._workers[request.scope["server"][1]], request)
            return response

        return endpoint


async def _next(worker: Worker, _: Request) -> Response:
    invocation = await worker.next()
    if invocation is None:
        return Response(status_code=HTTPStatus.GONE)
    function = worker._function  # noqa: SLF001
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


def _error(kind: str, text: str, invocation: _Invocation | None) -> bytes:
    request_id = invocation.request_id if invocation else ""
    return json.dumps({"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {text}"}).encode()


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
