"""What the messages of one request share."""

from dataclasses import dataclass, field
from typing import Any

from beckon.values import Identity, user_key


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the messages of one request share. `strict`: the body was JSON to the letter (`body.read_body`)."""

    shop: str
    secret: bytes
    received_ts: int
    retention_ms: int
    sent_ts: int | None = None
    context: Any = None
    user_agent: str = ""
    opted_out: bool = False
    strict: bool = True
    _pseudonyms: dict[tuple[Identity, str], str] = field(default_factory=dict)

    def pseudonym(self, identity: Identity, caller_id: str) -> str:
        """Return the key under which a person is kept in this shop."""
        known = self._pseudonyms.get((identity, caller_id))
        if known is None:
            known = self._pseudonyms[identity, caller_id] = user_key(self.secret, self.shop, identity, caller_id)
        return known
