"""A request's body to the messages in it. One message that is not JSON's kind of number does not cost the others."""

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from beckon.values import Refused

# No real message is as short as a body of 500 KB would need for more; the answer has a verdict for each.
MAX_MESSAGES = 20_000


def read_body(content: bytes) -> tuple[dict[str, Any], bool]:
    """Return the body as an object, and whether it is strict JSON.

    JSON knows no NaN, Infinity or half a surrogate pair, but SDKs in Python and JavaScript let them through. Such a
    body is read all the same, so that only the messages which hold them are rejected (`first_unreadable`).

    Raises:
        Refused: not JSON even so, or not an object.
    """
    strict = True
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as fault:
        strict = False
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise Refused("malformed-body", f"the body is not JSON: {fault}") from None
    if not isinstance(body, dict):
        raise Refused("malformed-body", f"the body must be a JSON object, not {kind(body)}")
    return body, strict


def messages_of(body: Mapping[str, Any], route: str) -> list[Any]:
    """Return the messages of `POST /v1/<route>`: a batch's, or the body itself as the one message of its type.

    Raises:
        Refused: a batch without a list of messages, or with more than can be answered.
    """
    if route != "batch":
        return [{**body, "type": route}]
    batch = body.get("batch")
    if not isinstance(batch, list):
        raise Refused("invalid-request", f"batch must be a list of messages, not {kind(batch)}", "batch")
    if len(batch) > MAX_MESSAGES:
        raise Refused("invalid-request", f"batch holds {len(batch)} messages; send at most 2500 at a time", "batch")
    return batch


def first_unreadable(value: Any, path: str = "") -> str | None:
    """Return the path of the first number in `value` that is not finite, None if all are."""
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, part in inner:
        found = first_unreadable(part, f"{path}.{name}" if path else str(name))
        if found is not None:
            return found
    return None


def kind(value: Any) -> str:
    """Return JSON's word for what `value` is."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"
