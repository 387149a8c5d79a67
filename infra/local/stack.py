"""A local stack for a `with` block: template.yaml running on this machine, apart from every other."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from infra.local.clock import Clock
from infra.local.engine import Engine, FunctionFailed, listen
from infra.local.processes import HOST
from infra.local.resources import moto_server, provision
from infra.local.template import REGION, translate

__all__ = ["FunctionFailed", "LocalStack"]

SHOP = "default"
_SHOPKEEPER = "manage"  # the function that makes shops and keys, by direct invocation
_KEYS = ("write_key", "secret_key", "access_key_id", "secret_access_key")
_SETTINGS = ("BECKON_TABLE", "BECKON_LAKE_BUCKET", "BECKON_MODEL_BUCKET")


class LocalStack:
    """A stack of its own in a thread of this process, for a `with` block: ports, buckets and keys of its own.

    `keys` are those of the shop `default`; a template without the function that makes shops has none.

    Raises:
        OSError: there is no template, or something else listens on `port`.
        ValueError: `template` is not a SAM template.
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
        self._root = Path(template).resolve().parent
        self._translated = translate(template, parameters)
        self._listener = listen(port)
        self._state = state
        self._clock_speed = clock_speed
        self._exits = ExitStack()
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self.keys: dict[str, str] = {}

    def __enter__(self) -> Self:
        with self._exits:
            state = self._state or Path(self._exits.enter_context(TemporaryDirectory(prefix="beckon-")))
            self.logs = state.resolve() / "logs"
            self._loop = self._exits.enter_context(_loop_in_thread())
            endpoint = self._exits.enter_context(moto_server())
            self.provisioned = provision(self._translated, endpoint)
            self._engine = Engine(self.provisioned, self._root, self.logs, Clock(self._clock_speed))
            self._exits.enter_context(self._awaited(self._engine.running(self._listener)))
            if _SHOPKEEPER in self._engine.functions.by_name:
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
        return {route.path for route in self._engine.routes}

    @property
    def environment(self) -> dict[str, str]:
        """What `build/local/env` holds: where the stack is, the keys of shop `default`, and its resources."""
        keys = {f"BECKON_{name.upper()}": self.keys[name] for name in _KEYS if name in self.keys}
        of_functions: dict[str, str] = {}
        for function in self._engine.functions.by_name:
            of_functions |= self.provisioned.environment(function)
        resources = {name: of_functions[name] for name in _SETTINGS if name in of_functions}
        aws = {"AWS_ENDPOINT_URL": self.provisioned.endpoint, "AWS_REGION": REGION}
        return {"BECKON_URL": self.url, **keys, **aws, **resources}

    def invoke(self, function: str, payload: Any) -> Any:
        """Return what `function` answers to `payload`; raises FunctionFailed if that is an error."""
        return self._call(self._engine.invoke(function, payload))

    def drain(self) -> dict[str, Any]:
        """Return when nothing is under way: streams and queues are empty, asynchronous invocations over."""
        return self._call(self._engine.drain())

    def run(self, function: str) -> dict[str, Any]:
        """Run a function as its schedule would; return its `result` and those of what it `invoked`."""
        return self._call(self._engine.run(function))

    def create_shop(self, shop: str) -> dict[str, str]:
        """Make a shop; return its keys, which are shown this once.

        Raises:
            ValueError: the shop exists, or its name cannot be one.
        """
        made: dict[str, Any] = self.invoke(_SHOPKEEPER, {"command": "create-shop", "shop": shop})
        if "error" in made:
            raise ValueError(f"shop {shop} was not made: {made['error']}")
        return made

    def _call[Result](self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    @contextmanager
    def _awaited[Value](self, manager: AbstractAsyncContextManager[Value]) -> Iterator[Value]:
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
