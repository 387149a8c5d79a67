"""What collecting events needs from outside: a log that keeps each once, a place for rejections, an eye for bots."""

from typing import Protocol

from beckon.events.model import Event, Rejection


class EventLog(Protocol):
    """Where events are kept, each exactly once."""

    def append(self, event: Event) -> bool:
        """Store `event` for good; return False, changing nothing, if it was already there.

        An event is known by its person, its sender's own time and its message id; one that came without a time, by
        its person and message id alone. May be called from several threads at once.
        """
        ...


class Rejections(Protocol):
    """Where rejected messages wait a week for somebody to read them."""

    def keep(self, rejection: Rejection) -> None:
        """Store `rejection` unless it is there; may be called from several threads at once."""
        ...


class Bots(Protocol):
    """Who is no shopper."""

    def is_bot(self, user_agent: str) -> bool:
        """Return whether a User-Agent belongs to a crawler or another machine."""
        ...
