"""Attribution: from an event to its outcome, kept and counted once."""

from dataclasses import dataclass

from beckon.conversions.attribution import outcome_of, served_until
from beckon.conversions.model import KINDS
from beckon.conversions.ports import Exposures, Outcomes
from beckon.events.model import Event
from beckon.values import DAY_MS, stranger_key

SHORTEST_LIFE_MS = 2 * DAY_MS  # longer than the stream can deliver an event again


@dataclass(frozen=True, slots=True)
class Attribution:
    """Credits outcomes to lists served up to `window_ms` before, and keeps them as long as their events."""

    exposures: Exposures
    outcomes: Outcomes
    window_ms: int
    retention_ms: int

    def handle(self, event: Event) -> bool:
        """Return whether the event brought a new outcome; again, late or out of order, it changes nothing more.

        Faults of the ports raise; the stream then delivers the event again.
        """
        if event.type not in KINDS or event.item is None:
            return False
        people = [event.user_key]
        if event.anonymous_key is not None:
            people.append(event.anonymous_key)
        if event.rec_id is not None:  # a list served before anything was known of the person
            people.append(stranger_key(event.shop, event.rec_id))
        served = self.exposures.window(event.shop, people, event.ts - self.window_ms, served_until(event))
        outcome = outcome_of(event, served, self.window_ms)
        if outcome is None:
            return False
        expires = max(event.ts + self.retention_ms, event.received_ts + SHORTEST_LIFE_MS)
        return self.outcomes.record(outcome, expires)
