"""What a shop's tracker sends: actions as messages of `POST /v1/batch`, and messages that must be refused."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from beckon.values import DAY_MS, iso
from infra.demo.behaviour import Action
from infra.demo.shop import CURRENCY, Shop

type Message = dict[str, Any]


def track(shop: Shop, shopper: str, action: Action, ts: int, number: str, *, rec_id: str | None = None) -> Message:
    """Return one action as a `track` message under the id `<shopper>-<number>`, in Beckon's own event names."""
    properties: dict[str, Any] = {}
    if action.item is not None:
        properties["item"] = shop.products[action.item].id
    if action.query is not None:
        properties["query"] = action.query
    if action.position is not None:
        properties["position"] = action.position
    if rec_id is not None:
        properties["rec_id"] = rec_id
    if action.kind in {"cart", "purchase"} and action.item is not None:
        properties |= {"price": shop.products[action.item].price, "quantity": 1, "currency": CURRENCY}
    if action.kind == "purchase":
        properties["order_id"] = f"order-{shopper}-{number}"
    return {
        "type": "track",
        "event": action.kind,
        "messageId": f"{shopper}-{number}",
        "anonymousId": shopper,
        "timestamp": iso(ts),
        "properties": properties,
    }


def bad_messages(good: Sequence[Message], now: int) -> Iterator[Message]:
    """Return what each good message would be with a mistake of the kinds that trackers make, by turns.

    Nobody's event, a view of nothing, a time that is no time, a time the day after tomorrow, a price that is a word.
    """
    mistakes: Iterator[Message] = cycle(
        [
            {"anonymousId": None},
            {"event": "view", "properties": {}},
            {"timestamp": "half past nine"},
            {"timestamp": iso(now + 2 * DAY_MS)},
            {"event": "purchase", "properties": {"item": "p001", "price": "expensive", "currency": CURRENCY}},
        ]
    )
    for message, mistake in zip(good, mistakes, strict=False):
        yield message | mistake | {"messageId": f"bad-{message['messageId']}"}
