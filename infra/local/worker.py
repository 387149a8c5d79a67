"""One execution environment of a function: a process of AWS's own Lambda runtime client."""

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.parts import Function
from infra.local.processes import HOST, python_module

# Lambda allows 10 s; two cores that start everything at once need more.
_INIT_S = 60.0


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
class Invocation:
    """A payload on its way to a process, and the answer that is awaited."""

    payload: bytes
    request_id: str
    is_taken: bool = False
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Worker:
    """One execution environment of a function: at most one process, started when needed, one invocation at a time."""

    def __init__(self, function: Function, port: int, environment: Mapping[str, str], log: Path) -> None:
        self.function = function
        self._environment = {**environment, "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port}"}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[Invocation | None] = asyncio.Queue()
        self._current: Invocation | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_served = False
        self._is_killed = False
        self._is_outdated = False

    async def run(self, payload: bytes, request_id: str) -> Answer:
        """Return the answer of the process, or the error that Lambda makes of its silence."""
        await self._end_of_killed()
        self._current = Invocation(payload, request_id)
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

    async def next(self) -> Invocation | None:
        """Wait for an invocation and start its time; None when the process that asked has ended."""
        invocation = await self._inbox.get()
        if invocation is not None:
            invocation.is_taken = self._has_served = True
            self._set_timer(self.function.timeout_s)
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
        command = python_module("awslambdaric", self.function.handler)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.function.folder,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the stack alone
            )
        self._watch = asyncio.create_task(self._await_end(self._process, self._inbox))

    async def _await_end(self, process: asyncio.subprocess.Process, inbox: asyncio.Queue[Invocation | None]) -> None:
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
        text = f"{moment} {request_id} Task timed out after {self.function.timeout_s:.2f} seconds"
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


def _error(kind: str, text: str, invocation: Invocation | None) -> bytes:
    request_id = invocation.request_id if invocation else ""
    return json.dumps({"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {text}"}).encode()
