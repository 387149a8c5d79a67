"""One message to its events, or to a Rejection that says why it is none."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from beckon.events.body import first_unreadable, kind
from beckon.events.clock import corrected_ms, sender_ms
from beckon.events.content import Scene, bounded, scene
from beckon.events.delivery import Delivery
from beckon.events.model import TYPES, Event, Rejection
from beckon.events.ports import Bots
from beckon.events.rejecting import VOLATILE, rejection_of
from beckon.events.wire import Details, Line, Message, parsed
from beckon.values import DAY_MS, Refused

MAX_MESSAGE_BYTES = 32 * 1024
MAX_BATCH = 2_500
PATH_CHARACTERS = 200

# Beckon's own names, and Segment's for the same (spec: e-commerce v2). `need` is what people say, never sent by name.
NAMES = {name: name for name in TYPES if name not in ("need", "custom")} | {
    "Product Viewed": "view",
    "Product Clicked": "click",
    "Product Added": "cart",
    "Product Removed": "remove",
    "Order Completed": "purchase",
    "Order Refunded": "refund",
    "Products Searched": "search",
    "Product List Viewed": "impression",
}
ABOUT_AN_ITEM = {"view", "click", "cart", "remove", "purchase", "rating"}


type Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message's events, one a product, and what its sender should know about them."""

    message_id: str
    events: tuple[Event, ...]
    notes: tuple[str, ...] = ()


def parse(message: Any, index: int, delivery: Delivery, bots: Bots) -> Accepted | Rejection:
    """Return what the message at `index` of a request comes to. A bad message is data: nothing is raised for it."""
    try:
        return _accepted(message, index, delivery, bots)
    except Refused as refusal:
        return rejection_of(message, index, delivery, refusal)


def _accepted(message: Any, index: int, delivery: Delivery, bots: Bots) -> Accepted:
    if index >= MAX_BATCH:
        raise Refused(
            "too-many-events", f"only the first {MAX_BATCH} messages of a batch are read; send the rest again"
        )
    if delivery.opted_out:
        raise Refused("opted-out", "the person asked not to be tracked (Sec-GPC or DNT); nothing was kept")
    if not isinstance(message, dict):
        raise Refused("not-an-object", f"a message must be an object, not {kind(message)}")
    _check_size(message, strict=delivery.strict)
    head = parsed(Message, message)
    seen = scene(message.get("context"), delivery.context)
    if bots.is_bot(seen.user_agent or delivery.user_agent):
        raise Refused("bot", "the User-Agent names itself a bot; send what people do", "context.userAgent")
    original = sender_ms(_first(message, "timestamp", "originalTimestamp"), "timestamp")
    ts = corrected_ms(original, _sent(message, delivery), delivery.received_ts)
    message_id = head.messageId or content_id(message)
    user, anonymous = head.userId, head.anonymousId or (head.previousId if head.type == "alias" else None)
    if user is None and anonymous is None:
        raise Refused("missing-identity", "send a userId or an anonymousId", "userId")
    anonymous_key = None if anonymous is None else delivery.pseudonym("anonymous", anonymous)
    shared: Columns = {
        "shop": delivery.shop,
        "message_id": message_id,
        "type": "custom",
        "user_key": delivery.pseudonym("user", user) if user is not None else str(anonymous_key),
        "ts": ts,
        "original_ts": original,
        "received_ts": delivery.received_ts,
        "anonymous_key": anonymous_key if user is not None else None,
        "page": seen.page,
        "referrer": seen.referrer,
        "locale": seen.locale,
        "device": seen.device,
        "rec_id": seen.rec_id,
    }
    private = tuple(one for one in (user, anonymous) if one is not None)
    events, cut = _events(head, shared, private)
    notes = ["properties beyond 4 KiB were left out"] if cut else []
    if ts < delivery.received_ts - delivery.retention_ms:
        notes.append(f"older than the retention of {delivery.retention_ms // DAY_MS} days: kept in the lake only")
    return Accepted(message_id, events, tuple(notes))


def _check_size(message: dict[Any, Any], *, strict: bool) -> None:
    try:
        path = None if strict else first_unreadable(message)
        size = len(orjson.dumps(message))
    except (TypeError, RecursionError) as fault:
        raise Refused("unreadable", f"the message cannot be read ({fault}); send plain, shallow JSON") from None
    if path is not None:
        path = path[:PATH_CHARACTERS]
        raise Refused("not-a-number", f"{path}: must be a finite number; leave it out if there is none", path)
    if size > MAX_MESSAGE_BYTES:
        raise Refused("event-too-large", f"the message has {size} bytes; send at most {MAX_MESSAGE_BYTES}")


def _first(message: Mapping[str, Any], *names: str) -> Any:
    return next((value for name in names if (value := message.get(name)) not in (None, "")), None)


def _sent(message: Mapping[str, Any], delivery: Delivery) -> int | None:
    """Return when the sender says it sent; what is no time says nothing about its clock."""
    if not message.get("sentAt"):
        return delivery.sent_ts
    return lenient_ms(message["sentAt"])


def lenient_ms(value: Any) -> int | None:
    """Return a sentAt as UTC ms, None if it is no time."""
    try:
        return sender_ms(value, "sentAt")
    except Refused:
        return None


def _events(head: Message, shared: Columns, private: tuple[str, ...]) -> tuple[tuple[Event, ...], bool]:
    """Return the message's events, and whether properties were cut."""
    if head.type != "track":
        return _visit(head, shared, private)
    if head.event is None:
        raise Refused("missing-name", "a track message needs `event`, such as view or Product Viewed", "event")
    kind_of_event = NAMES.get(head.event)
    if kind_of_event is None:
        return _custom(head, shared, head.event, private)
    details = parsed(Details, head.properties, "properties")
    lines: list[Line] = list(details.products or ()) or [details]
    for position, line in enumerate(lines):
        path = "properties" if line is details else f"properties.products.{position}"
        if line.item_id is None and (kind_of_event in ABOUT_AN_ITEM or line is not details):
            raise Refused("missing-item", f"{path}: a {kind_of_event} needs `item` or `product_id`", f"{path}.item")
    events, cut = [], False
    for position, line in enumerate(_merged(lines)):
        extra = line.model_extra or {}
        if line is not details and position == 0:
            extra = (details.model_extra or {}) | extra
        properties, shortened = bounded(extra, private)
        cut = cut or shortened
        events.append(
            Event(
                **shared
                | {
                    "message_id": shared["message_id"] if position == 0 else f"{shared['message_id']}#{position}",
                    "type": kind_of_event,
                    "name": None if head.event == kind_of_event else head.event,
                    "item": line.item_id,
                    "value": line.unit_value,
                    "currency": line.currency or details.currency,
                    "quantity": line.quantity,
                    "order_id": details.order_id,
                    "rec_id": details.rec_id or shared["rec_id"],
                    "properties": properties,
                }
            )
        )
    return tuple(events), cut


def _merged(lines: Sequence[Line]) -> list[Line]:
    """Return a line an item: two sizes of one shirt, say, are one line of both pieces at their mean price.

    Outcomes are kept by event × item, so a second line of the same item would be lost.
    """
    merged: dict[str | None, Line] = {}
    for line in lines:
        merged[line.item_id] = _both(merged[line.item_id], line) if line.item_id in merged else line
    return list(merged.values())


def _both(first: Line, second: Line) -> Line:
    pieces = (first.quantity or 1) + (second.quantity or 1)
    if first.unit_value is None or second.unit_value is None:
        price = second.unit_value if first.unit_value is None else first.unit_value
    else:
        price = (first.unit_value * (first.quantity or 1) + second.unit_value * (second.quantity or 1)) / pieces
    return first.model_copy(update={"price": price, "quantity": pieces, "currency": first.currency or second.currency})


def _visit(head: Message, shared: Columns, private: tuple[str, ...]) -> tuple[tuple[Event, ...], bool]:
    """Return the event of a page, screen, identify, group or alias message; traits are not kept."""
    if head.type not in ("page", "screen"):
        return (Event(**shared | {"name": head.type}),), False
    title = head.name or head.properties.get("name") or head.properties.get("category")
    here = Scene.of_page(head.properties)
    addresses = ("url", "path", "referrer", "search", "name")
    rest, cut = bounded({k: v for k, v in head.properties.items() if k not in addresses}, private)
    named = f"{head.type}: {title}" if isinstance(title, str) else head.type
    page, referrer = here.page or shared["page"], here.referrer or shared["referrer"]
    return (Event(**shared | {"name": named[:300], "page": page, "referrer": referrer, "properties": rest}),), cut


def _custom(head: Message, shared: Columns, name: str, private: tuple[str, ...]) -> tuple[tuple[Event, ...], bool]:
    """Return the event of a name Beckon does not know: columns where its properties mean what ours do."""
    try:
        details = parsed(Details, {k: v for k, v in head.properties.items() if k != "products"})
    except Refused:  # its own meaning of `value`, say: kept as sent
        properties, cut = bounded(head.properties, private)
        return (Event(**shared | {"name": name, "properties": properties}),), cut
    extra = dict(details.model_extra or {})
    if "products" in head.properties:
        extra["products"] = head.properties["products"]
    properties, cut = bounded(extra, private)
    event = Event(
        **shared
        | {
            "name": name,
            "item": details.item_id,
            "value": details.unit_value,
            "currency": details.currency,
            "quantity": details.quantity,
            "order_id": details.order_id,
            "rec_id": details.rec_id or shared["rec_id"],
            "properties": properties,
        }
    )
    return (event,), cut


def content_id(message: Mapping[str, Any]) -> str:
    """Return the id of a message that came without one: the same content, the same id, whenever it is sent."""
    content = orjson.dumps({k: v for k, v in message.items() if k not in VOLATILE}, option=orjson.OPT_SORT_KEYS)
    return "auto-" + hashlib.sha256(content).hexdigest()[:32]
