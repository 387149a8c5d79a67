"""The stack's clock: it may run fast, and whoever drains the stack makes its waits short."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SHORTEST_WAIT_S = 0.02
_LONGEST_NAP_S = 30.0  # a laptop that slept is late by no more


class Clock:
    """Time that passes `speed` times as fast as real time."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._started = time.time()
        self._draining = 0
        self._hurry = asyncio.Event()

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        return self._started + (time.time() - self._started) * self._speed

    @property
    def is_hurried(self) -> bool:
        """Whether someone waits for the stack to be empty."""
        return self._hurry.is_set()

    def age(self, moment: float) -> float:
        """Return how many seconds of this clock have passed since a moment of real time."""
        return (time.time() - moment) * self._speed

    async def wait(self, seconds: float, at_least: float = SHORTEST_WAIT_S) -> None:
        """Wait for `seconds` of this clock, but only `at_least` real seconds while hurried."""
        await self.pause(seconds / self._speed, at_least)

    async def pause(self, seconds: float, at_least: float = SHORTEST_WAIT_S) -> None:
        """Wait for `seconds` of real time, but only `at_least` while hurried."""
        await asyncio.sleep(min(at_least, seconds))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), max(0.0, seconds - at_least))

    async def until(self, moment: float) -> None:
        """Wait until `moment` has come; nothing hurries it."""
        while (left := (moment - self.now()) / self._speed) > 0:  # noqa: ASYNC110  # time is polled since the machine may sleep
            await asyncio.sleep(min(left, _LONGEST_NAP_S))

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Make every wait short while the block lasts."""
        self._draining += 1
        self._hurry.set()
        try:
            yield
        finally:
            self._draining -= 1
            if not self._draining:
                self._hurry.clear()
