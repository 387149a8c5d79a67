"""What a person sees while a command runs, on standard error: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

EVERY_S = 5.0  # how often a plain line is written


class Told:
    """The stages of a run, each told when it starts and how long it took."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._started = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """Write a line."""
        seconds = f"{time.monotonic() - self._started:6.1f} s  "
        self.console.print(Text.assemble((seconds, "dim"), (text, style)), soft_wrap=True)

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        """Say that a stage begins, with a spinner on a terminal while it lasts."""
        self.say(text)
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(text):
            yield

    def each[T](self, things: Iterable[T], text: str, total: int | None = None) -> Iterator[T]:
        """Yield `things` one by one, showing how many are done of `total`."""
        if total is None and isinstance(things, Sized):
            total = len(things)
        if self.console.is_terminal:
            with self._bar() as bar:
                yield from bar.track(things, total=total, description=text)
            return
        self.say(text)
        last = time.monotonic()
        for done, thing in enumerate(things):
            if time.monotonic() - last >= EVERY_S:
                last = time.monotonic()
                self.say(f"{text}: {done} of {total}" if total else f"{text}: {done}")
            yield thing

    def _bar(self) -> Progress:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        return Progress(*columns, console=self.console, transient=True)
