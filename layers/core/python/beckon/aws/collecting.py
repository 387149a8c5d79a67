"""A tracker's request to the collection: body, key, the person's wish, and back to an answer."""

from dataclasses import dataclass
from typing import Any

from beckon.access.service import Access
from beckon.aws.http import body_bytes, presented_key
from beckon.events.body import messages_of, read_body
from beckon.events.delivery import Delivery
from beckon.events.parsing import lenient_ms
from beckon.events.service import Collection, Verdict


@dataclass(frozen=True, slots=True)
class Collector:
    """Serves Segment's routes with either kind of key, by header or in the body."""

    access: Access
    collection: Collection
    secret: bytes
    retention_ms: int

    def take(self, event: Any, route: str, now: int) -> Verdict:
        """Return the verdict on the messages of an HTTP API event.

        Raises:
            Refused: no key or a wrong one, a body that is no messages, a method that is none of Segment's.
        """
        body, strict = read_body(body_bytes(event))
        in_body = body.get("writeKey")
        key = presented_key(event) or (in_body if isinstance(in_body, str) else None)
        caller = self.access.caller(key, now)
        delivery = Delivery(
            shop=caller.shop,
            secret=self.secret,
            received_ts=now,
            retention_ms=self.retention_ms,
            sent_ts=lenient_ms(body.get("sentAt")),
            context=body.get("context") if route == "batch" else None,
            user_agent=event.headers.get("user-agent") or "",
            opted_out="1" in (event.headers.get("sec-gpc"), event.headers.get("dnt")),
            strict=strict,
        )
        return self.collection.take(messages_of(body, route), delivery)
