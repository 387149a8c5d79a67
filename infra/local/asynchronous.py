"""Asynchronous invocations: accepted at once, tried again when they fail, kept by a destination when that is no use."""

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from infra.local.clock import Clock
from infra.local.destinations import deliver, timestamp
from infra.local.parts import AsynchronousRules
from infra.local.runtime import Functions
from infra.local.worker import Answer

# Lambda waits a minute before the first retry and two before the second.
_RETRY_S = (60.0, 120.0)
_HURRIED_RETRY_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an asynchronous invocation ended, after its retries."""

    function: str
    payload: bytes
    answer: Answer


class Asynchronous:
    """Runs asynchronous invocations by the template's rules."""

    def __init__(
        self, functions: Functions, rules: Mapping[str, AsynchronousRules], endpoint: str, clock: Clock
    ) -> None:
        self._functions = functions
        self._rules = rules
        self._endpoint = endpoint
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self._collectors: list[list[Outcome]] = []

    def submit(self, function: str, payload: bytes) -> str:
        """Accept an invocation; return its request id.

        Raises:
            LookupError: no such function.
        """
        if function not in self._functions.by_name:
            raise LookupError(f"no function {function}")
        request_id = str(uuid.uuid4())
        task = asyncio.create_task(self._run(function, payload, request_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return request_id

    async def finished(self) -> None:
        """Return when nothing is running or waiting for a retry, what those started included."""
        while self._running:
            await asyncio.gather(*self._running)

    async def stop(self) -> None:
        """Give up what is running."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @contextmanager
    def collected(self) -> Iterator[list[Outcome]]:
        """Yield a list that gains every outcome while the block lasts."""
        outcomes: list[Outcome] = []
        self._collectors.append(outcomes)
        try:
            yield outcomes
        finally:
            self._collectors.remove(outcomes)

    async def _run(self, function: str, payload: bytes, request_id: str) -> None:
        rules = self._rules.get(function, AsynchronousRules())
        accepted, tries, condition = self._clock.now(), 0, None
        while condition is None:
            answer = await self._functions.invoke(function, payload, request_id)
            tries += 1
            wait_s = _RETRY_S[min(tries, len(_RETRY_S)) - 1]
            if answer.error is None:
                condition = "Success"
            elif tries > rules.retries:
                condition = "RetriesExhausted"
            elif self._clock.now() + wait_s - accepted > rules.max_age_s:
                condition = "EventAgeExceeded"
            else:
                await self._clock.wait(wait_s, at_least=_HURRIED_RETRY_S)
        outcome = Outcome(function, payload, answer)
        for outcomes in self._collectors:
            outcomes.append(outcome)
        destination = rules.on_failure if answer.error else rules.on_success
        if destination is not None:
            context = {"requestId": request_id, "condition": condition, "approximateInvokeCount": tries}
            record = self._record(outcome, context)
            await asyncio.to_thread(deliver, self._endpoint, destination, record, f"aws/lambda/async/{function}")

    def _record(self, outcome: Outcome, context: Mapping[str, object]) -> dict[str, object]:
        answer = outcome.answer
        error = {} if answer.error is None else {"functionError": answer.error}
        return {
            "version": "1.0",
            "timestamp": timestamp(self._clock.now()),
            "requestContext": {"functionArn": f"{self._functions.by_name[outcome.function].arn}:$LATEST", **context},
            "requestPayload": json.loads(outcome.payload),
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", **error},
            "responsePayload": answer.body,
        }
