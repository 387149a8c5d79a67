"""Bots that say so themselves; a maintained list can take this place behind the `Bots` port."""

import re
from functools import lru_cache

# CUBOT is a maker of telephones. Server SDKs (python-requests, analytics-node) are no bots: shops send through them.
_DECLARED = re.compile(
    r"(?<!cu)bot(?![a-z])|crawl|spider|slurp|bingpreview|facebookexternalhit|headlesschrome|phantomjs|lighthouse"
    r"|pagespeed|pingdom|uptime",
    re.IGNORECASE,
)
_READ_CHARACTERS = 512


class DeclaredBots:
    """Tells bots by the words that well-behaved ones put into their User-Agent."""

    def is_bot(self, user_agent: str) -> bool:
        """Return whether the User-Agent names itself a bot."""
        return _declares_itself(user_agent[:_READ_CHARACTERS])


@lru_cache(maxsize=1024)  # the search is the dearest step of an event, and a batch's events share their User-Agent
def _declares_itself(user_agent: str) -> bool:
    return _DECLARED.search(user_agent) is not None
