"""Lambda's event filters: which records of a source its function is woken for."""

import json
from collections.abc import Sequence
from typing import Any

from moto.events.models import EventPattern


class Filters:
    """The patterns of one source; a record passes if any matches, or if there is none."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [EventPattern(pattern, json.loads(pattern)) for pattern in patterns]

    def passes(self, record: Any) -> bool:
        """Return whether the function is woken for `record`."""
        return not self._patterns or any(pattern.matches_event(record) for pattern in self._patterns)
