"""What the template says at work in one event loop: functions, routes, sources, schedules, and the local routes."""

import asyncio
import json
import os
import socket
import traceback
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local import parts, schedules
from infra.local.asynchronous import Asynchronous
from infra.local.clock import Clock
from infra.local.gateway import Gateway
from infra.local.invoke_api import invoke_routes
from infra.local.processes import HOST
from infra.local.queues import Queue
from infra.local.resources import Provisioned
from infra.local.runtime import Functions
from infra.local.streams import Stream
from infra.local.worker import Answer

_DRAIN_S = 600.0
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class FunctionFailed(RuntimeError):
    """A function that was run directly raised, timed out or died; the message is its error."""


class Engine:
    """The template's functions, routes, sources and schedules at work; serving while `running`."""

    def __init__(self, provisioned: Provisioned, root: Path, logs: Path, clock: Clock) -> None:
        template, endpoint = provisioned.template, provisioned.endpoint
        self.provisioned = provisioned
        self.routes = parts.routes(template)
        self.functions = Functions(parts.functions(template, root), endpoint, logs)
        self._clock = clock
        self._logs = logs
        self._schedules = parts.schedules(template)
        self._asynchronous = Asynchronous(self.functions, parts.asynchronous_rules(template), endpoint, clock)
        self._gateway = Gateway(self.routes, parts.cors(template), self.functions)
        self._sources: list[Stream | Queue] = [
            (Stream if source.kind == "dynamodb" else Queue)(source, self.functions, endpoint, clock)
            for source in parts.sources(template)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def invoke(self, function: str, payload: Any) -> Any:
        """Return what `function` answers, as JSON.

        Raises:
            FunctionFailed: it answered with an error.
        """
        return _result(function, await self.functions.invoke(function, json.dumps(payload).encode()))

    async def drain(self) -> dict[str, Any]:
        """Return when streams and queues are read to their ends and asynchronous invocations are over.

        Raises:
            TimeoutError: something fails again and again, or never ends; the functions' logs say what.
        """
        before = self.functions.invocations
        async with asyncio.timeout(_DRAIN_S):
            with self._clock.hurried():
                seen = None
                while seen != self.functions.invocations:  # what ran meanwhile may have written more
                    seen = self.functions.invocations
                    for source in self._sources:
                        await self._unless_broken(source.finished())
                    await self._unless_broken(self._asynchronous.finished())
        return {"invocations": self.functions.invocations - before}

    async def run(self, function: str) -> dict[str, Any]:
        """Run `function` as its schedule would, with what it invokes asynchronously; then let all start afresh.

        Raises:
            FunctionFailed: it, or what it invoked, failed.
            LookupError: no such function.
        """
        payloads = [schedules.event(s, self._clock.now()) for s in self._schedules if s.function == function]
        with self._clock.hurried(), self._asynchronous.collected() as outcomes:
            answer = await self.functions.invoke(function, payloads[0] if payloads else b"{}")
            await self._asynchronous.finished()
        await self.functions.recycle()
        return {
            "function": function,
            "result": _result(function, answer),
            "invoked": [
                {"function": o.function, "event": json.loads(o.payload), "result": _result(o.function, o.answer)}
                for o in outcomes
            ],
        }

    async def _unless_broken(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Await `waiting`, but raise if a part of the stack broke that it waits for."""
        wait = asyncio.ensure_future(waiting)
        try:
            at_work = [task for task in self._tasks if not task.done()]
            await asyncio.wait([wait, *at_work], return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done() and not task.cancelled() and (fault := task.exception()):
                    raise fault
            await wait
        finally:
            wait.cancel()

    @asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve until the block ends."""
        async with AsyncExitStack() as exits:
            sockets = [listen(0) for _ in range(self.functions.ports_needed + 1)]
            ports = [each.getsockname()[1] for each in sockets]
            inner = [*self.functions.routes(), *invoke_routes(self.functions, self._asynchronous)]
            await exits.enter_async_context(_serving(Starlette(routes=inner), sockets))
            self.functions.open(ports[1:], f"http://{HOST}:{ports[0]}")
            exits.push_async_callback(self.functions.stop)
            exits.push_async_callback(self._asynchronous.stop)
            exits.push_async_callback(self._stop_tasks)
            self._tasks = [asyncio.create_task(source.run()) for source in self._sources]
            self._tasks += [
                asyncio.create_task(schedules.keep(s, self._asynchronous, self._clock)) for s in self._schedules
            ]
            for task in self._tasks:
                task.add_done_callback(_show_fault)
            await exits.enter_async_context(_serving(self._outside(), [listener]))
            yield

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _outside(self) -> Starlette:
        async def drain(_: Request) -> Response:
            try:
                return JSONResponse(await self.drain())
            except TimeoutError:
                text = f"not empty after {_DRAIN_S:.0f} s: a function fails again and again"
                return _problem(HTTPStatus.GATEWAY_TIMEOUT, "not-drained", f"{text}; its log is in {self._logs}")

        async def run(request: Request) -> Response:
            try:
                return JSONResponse(await self.run(request.path_params["function"]))
            except LookupError as fault:
                return _problem(HTTPStatus.NOT_FOUND, "not-found", str(fault))
            except FunctionFailed as fault:
                return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "function-failed", str(fault))

        return Starlette(
            routes=[
                Route("/local/drain", drain, methods=["POST"]),
                Route("/local/run/{function}", run, methods=["POST"]),
                Route("/{path:path}", self._gateway.serve, methods=_METHODS),
            ]
        )


def listen(port: int) -> socket.socket:
    """Return a socket bound to `port` of this machine, a free one for 0.

    Raises:
        OSError: the port is taken; the message says what to do.
    """
    # asyncio sends small answers at once only where the protocol is named; else each costs 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as fault:
        listener.close()
        why = os.strerror(fault.errno or 0)
        raise OSError(f"cannot listen on {HOST}:{port} ({why}): stop what does, or choose another port") from None
    return listener


@asynccontextmanager
async def _serving(app: Starlette, sockets: list[socket.socket]) -> AsyncIterator[None]:
    """Serve `app` on every one of `sockets` while the block lasts."""
    config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started:  # uvicorn tells nobody
        if serving.done():
            await serving
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _show_fault(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (fault := task.exception()):
        traceback.print_exception(fault)


def _result(function: str, answer: Answer) -> Any:
    if answer.error is not None:
        raise FunctionFailed(f"{function}: {answer.payload.decode()}")
    return answer.body


def _problem(status: HTTPStatus, code: str, detail: str) -> Response:
    body = {"type": f"https://beckon.dev/problems/{code}", "title": status.phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")
