"""The whole stack: what the template says, running on this machine until it is closed."""

import asyncio
import contextlib
import json
import socket
import tempfile
import threading
import traceback
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
from infra.local.resources import Provisioned, moto_server, provision
from infra.local.runtime import Answer, Functions
from infra.local.streams import Stream
from infra.local.template import REGION, translate

SHOP = "default"
_SHOPKEEPER = "manage"  # the function that makes shops and keys, by direct invocation
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class FunctionFailed(RuntimeError):
    """A function that was run directly raised, timed out or died; the message is its error."""


class Stack:
    """The template's functions, routes, sources and schedules at work; made by `running`."""

    def __init__(self, provisioned: Provisioned, root: Path, logs: Path, clock: Clock) -> None:
        template, endpoint = provisioned.template, provisioned.endpoint
        self.provisioned = provisioned
        self.routes = parts.routes(template)
        self.functions = Functions(parts.functions(template, root), endpoint, logs)
        self._clock = clock
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
        """Return when streams and queues are read to their ends and asynchronous invocations are over."""
        invocations = self.functions.invocations
        with self._clock.hurried():
            seen = None
            while seen != self.functions.invocations:  # what ran meanwhile may have written more
                seen = self.functions.invocations
                for source in self._sources:
                    await self._unless_broken(source.finished())
                await self._unless_broken(self._asynchronous.finished())
        return {"invocations": self.functions.invocations - invocations}

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
        await asyncio.wait(
            [wait, *(task for task in self._tasks if not task.done())], return_when=asyncio.FIRST_COMPLETED
        )
        for task in self._tasks:
            if task.done() and not task.cancelled() and (fault := task.exception()):
                wait.cancel()
                raise fault
        await wait

    @asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve until the block ends."""
        async with AsyncExitStack() as exits:
            sockets = [_listen(0) for _ in range(self.functions.ports_needed + 1)]
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
            return JSONResponse(await self.drain())

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


class LocalStack:
    """A stack of its own in a thread of this process, for a `with` block: ports, buckets and keys of its own.

    `keys` are those of the shop `default`; a template without the function that makes shops has none.
    """

    def __init__(
        self,
        template: Path | str = "template.yaml",
        *,
        port: int = 0,
        state: Path | None = None,
        parameters: Mapping[str, str] | None = None,
        clock_speed: float = 1.0,
    ) -> None:
        self._template = Path(template).resolve()
        self._listener = _listen(port)
        self._state = state
        self._parameters = parameters
        self._clock_speed = clock_speed
        self._exits = contextlib.ExitStack()
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self.keys: dict[str, str] = {}

    def __enter__(self) -> Self:
        with self._exits:
            state = self._state or Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="beckon-")))
            self.logs = state.resolve() / "logs"
            self._loop = self._exits.enter_context(_loop_in_thread())
            endpoint = self._exits.enter_context(moto_server())
            translated = translate(self._template, self._parameters)
            self.provisioned = provision(translated, endpoint)
            self._stack = self._call(self._made())
            self._exits.enter_context(self._awaited(self._stack.running(self._listener)))
            if _SHOPKEEPER in self._stack.functions.by_name:
                self.keys = self.create_shop(SHOP)
            self._exits = self._exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    @property
    def routes(self) -> set[str]:
        """The paths of the API."""
        return {route.path for route in self._stack.routes}

    @property
    def environment(self) -> dict[str, str]:
        """What `build/local/env` holds: where the stack is, the keys of shop `default`, and its resources."""
        names = {"write_key", "secret_key", "access_key_id", "secret_access_key"}
        keys = {f"BECKON_{name.upper()}": value for name, value in self.keys.items() if name in names}
        of_functions: dict[str, str] = {}
        for function in self._stack.functions.by_name:
            of_functions |= self.provisioned.environment(function)
        wanted = ("BECKON_TABLE", "BECKON_LAKE_BUCKET", "BECKON_MODEL_BUCKET")
        resources = {name: of_functions[name] for name in wanted if name in of_functions}
        aws = {"AWS_ENDPOINT_URL": self.provisioned.endpoint, "AWS_REGION": REGION}
        return {"BECKON_URL": self.url, **keys, **aws, **resources}

    def invoke(self, function: str, payload: Any) -> Any:
        """Return what `function` answers to `payload`; raises FunctionFailed if that is an error."""
        return self._call(self._stack.invoke(function, payload))

    def drain(self) -> dict[str, Any]:
        """Return when nothing is under way: streams and queues are empty, asynchronous invocations over."""
        return self._call(self._stack.drain())

    def run(self, function: str) -> dict[str, Any]:
        """Run a function as its schedule would; return its `result` and those of what it `invoked`."""
        return self._call(self._stack.run(function))

    def create_shop(self, shop: str) -> dict[str, str]:
        """Make a shop; return its keys, which are shown this once.

        Raises:
            ValueError: the shop exists, or its name cannot be one.
        """
        made: dict[str, Any] = self.invoke(_SHOPKEEPER, {"command": "create-shop", "shop": shop})
        if "error" in made:
            raise ValueError(f"shop {shop} was not made: {made['error']}")
        return made

    async def _made(self) -> Stack:
        return Stack(self.provisioned, self._template.parent, self.logs, Clock(self._clock_speed))

    def _call[Result](self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    @contextmanager
    def _awaited[Value](self, manager: contextlib.AbstractAsyncContextManager[Value]) -> Iterator[Value]:
        """Enter and leave `manager` in the stack's loop."""
        value = self._call(manager.__aenter__())
        try:
            yield value
        finally:
            self._call(manager.__aexit__(None, None, None))


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield an event loop that runs in a thread, whose children end with it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="local-stack", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _listen(port: int) -> socket.socket:
    # asyncio sends small answers at once only where the protocol is named; else each costs 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
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
