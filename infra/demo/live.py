"""The loop over HTTP: a tracker's batches, their verdicts counted, and lists asked of Beckon."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from typing import Any

from beckon.values import iso
from infra.demo.client import Beckon, Failed, Verdict, side_by_side
from infra.demo.experiment import Shown, Surface
from infra.demo.messages import Message

ADDS_UP = 1e-3  # how far reasons may be off their score, in parts of the score: they are sums of float32


class Tally:
    """What was sent and what Beckon said of it, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent = self.accepted = self.duplicates = 0
        self.rejected: list[dict[str, Any]] = []
        self.notes: Counter[str] = Counter()

    def add(self, sent: int, verdict: Verdict) -> None:
        """Count one batch."""
        with self._lock:
            self.sent += sent
            self.accepted += verdict.accepted
            self.duplicates += verdict.duplicates
            self.rejected.extend(verdict.rejected)
            self.notes.update(note["note"] for note in verdict.notes)


class Live:
    """A `Loop` over HTTP. Every answer is checked: reasons add up, nobody is shown an item twice in a list."""

    def __init__(self, beckon: Beckon) -> None:
        self.tally = Tally()
        self.served: list[dict[str, Any]] = []
        self.purchases: list[Message] = []
        self._beckon = beckon

    def now(self) -> int:
        """Return the clock's time in UTC ms."""
        return time.time_ns() // 1_000_000

    def send(self, messages: Sequence[Message], later_ms: int = 0) -> None:
        """Send one batch; `later_ms` is how far the sender's clock is ahead, as when a tracker sends again."""
        verdict = self._beckon.send(messages, iso(self.now() + later_ms))
        self.tally.add(len(messages), verdict)
        self.purchases.extend(message for message in messages if "order_id" in message["properties"])

    def show(self, shopper: str, surface: Surface, k: int) -> Shown:
        """Return a list for a shopper, asked as the shop's page asks."""
        answer = self._beckon.recommend(anonymous_id=shopper, surface=surface, k=k)
        check_list(answer, k)
        self.served.append(answer)
        return Shown(answer["rec_id"], tuple(slot["id"] for slot in answer["items"]))

    def send_all(self, messages: Iterable[Message], size: int) -> Iterator[int]:
        """Send many messages in batches over a few connections; yield how many each batch had, when it is done."""
        yield from side_by_side(self._send_counted, batched(messages, size, strict=False))

    def _send_counted(self, messages: tuple[Message, ...]) -> int:
        self.send(messages)
        return len(messages)


def check_list(answer: dict[str, Any], k: int) -> None:
    """Check a list that was served.

    Raises:
        Failed: the parts of a place's reasons do not sum to its score, an item is there twice, or not k items are.
    """
    shown = [slot["id"] for slot in answer["items"]]
    if len(set(shown)) != len(shown) or len(shown) != k:
        raise Failed(f"list {answer['rec_id']} should have {k} different items and has {shown}")
    for slot in answer["items"]:
        total = sum(reason["part"] for reason in slot["reasons"])
        if abs(total - slot["score"]) > ADDS_UP * max(1.0, abs(slot["score"])):
            raise Failed(f"list {answer['rec_id']}: the reasons for {slot['id']} sum to {total}, not {slot['score']}")
