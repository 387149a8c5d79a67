"""A small HTTP client for Beckon: events, recommendations, items, and the commands of the local stack."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

ITEMS_A_REQUEST = 500
CONNECTIONS = 4
TRIES = 6
BUSY = 503


class Failed(RuntimeError):
    """Beckon, or this run, did not do what was promised; the message is for a person."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Beckon said of a batch: `accepted` includes `duplicates`; `rejected` has a reason for each."""

    accepted: int
    duplicates: int
    rejected: tuple[dict[str, Any], ...]
    notes: tuple[dict[str, Any], ...] = ()


class Beckon:
    """Beckon at `url`. The keys are never shown: not in a message, not in `repr`.

    Safe to share between threads. Raises Failed where Beckon answers anything but 200 after retries.
    """

    def __init__(self, url: str, write_key: str, secret_key: str) -> None:
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=httpx.Timeout(60, connect=5), trust_env=False)
        self._write = {"Authorization": f"Bearer {write_key}"}
        self._secret = {"Authorization": f"Bearer {secret_key}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def send(self, messages: Sequence[dict[str, Any]], sent_at: str | None = None) -> Verdict:
        """Send a batch as a tracker does, with the sender's own clock in `sent_at`; return what was said of it."""
        body: dict[str, Any] = {"batch": list(messages)}
        if sent_at is not None:
            body["sentAt"] = sent_at
        said = self._post("/v1/batch", body, self._write)
        verdict = Verdict(said["accepted"], said["duplicates"], tuple(said["rejected"]), tuple(said.get("notes", ())))
        if verdict.accepted + len(verdict.rejected) != len(messages):
            raise Failed(f"sent {len(messages)} events, but {verdict.accepted} + {len(verdict.rejected)} were answered")
        return verdict

    def recommend(self, **wanted: Any) -> dict[str, Any]:
        """Return the answer of `POST /v1/recommendations`, asked with the public write key."""
        answer: dict[str, Any] = self._post("/v1/recommendations", wanted, self._write)
        return answer

    def put_items(self, items: Sequence[dict[str, Any]]) -> None:
        """Put items into the catalogue, 500 a request."""
        for start in range(0, len(items), ITEMS_A_REQUEST):
            self._post("/v1/items", {"items": list(items[start : start + ITEMS_A_REQUEST])}, self._secret)

    def drain(self) -> None:
        """Wait until streams and queues are empty and the lake is written (local stack only)."""
        self._post("/local/drain", None, {}, timeout=300)

    def run(self, function: str) -> Any:
        """Run a function for all shops and return what it answers (local stack only)."""
        return self._post(f"/local/run/{function}", None, {}, timeout=600)

    def _post(self, path: str, body: Any, headers: dict[str, str], timeout: float = 60) -> Any:
        for attempt in range(TRIES):
            try:
                answer = self._http.post(path, json=body, headers=headers, timeout=timeout)
            except httpx.TransportError as fault:
                raise Failed(
                    f"no answer from {self._http.base_url}{path.lstrip('/')}: {type(fault).__name__}"
                ) from fault
            if answer.status_code != BUSY or attempt == TRIES - 1:
                break
            time.sleep(float(answer.headers.get("Retry-After", 0.2 * 2**attempt)))
        if not answer.is_success:
            raise Failed(f"POST {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()


def side_by_side[T, R](work: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
    """Yield what `work` makes of each thing, in order, a few at a time; `things` are taken only as they are needed."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        waiting: deque[Future[R]] = deque()
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) > 2 * CONNECTIONS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
