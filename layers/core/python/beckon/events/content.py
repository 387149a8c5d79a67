"""What is kept beside an event's columns: where it happened, and its properties within bounds and without names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

PROPERTIES_BYTES = 4 * 1024
ADDRESS_CHARACTERS = 512
WORD_CHARACTERS = 64

# Who somebody is never enters `properties`: people are known by pseudonym alone.
PERSONAL = {
    "user",
    "user_id",
    "userId",
    "userid",
    "anonymous_id",
    "anonymousId",
    "email",
    "phone",
    "traits",
    "ip",
    "address",
    "first_name",
    "firstName",
    "last_name",
    "lastName",
    "user_token",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where it happened, as far as the message's context says; what is not understood there is left out."""

    page: str | None = None
    referrer: str | None = None
    locale: str | None = None
    device: str | None = None
    rec_id: str | None = None
    user_agent: str | None = None

    @classmethod
    def of_page(cls, page: Mapping[str, Any]) -> Self:
        """Return the addresses of a page's description."""
        return cls(page=_address(page.get("path") or page.get("url")), referrer=_address(page.get("referrer")))


def scene(*contexts: Any) -> Scene:
    """Return the scene that `contexts` describe, the first that knows a thing being believed."""
    known: dict[str, str] = {}
    for context in contexts:
        if not isinstance(context, dict) or not context:
            continue
        page, device = context.get("page"), context.get("device")
        here = Scene.of_page(page) if isinstance(page, dict) else Scene()
        found = {
            "page": here.page,
            "referrer": here.referrer,
            "locale": _word(context.get("locale")),
            "device": _word(device.get("type") or device.get("model")) if isinstance(device, dict) else None,
            "rec_id": _word(context.get("rec_id")),
            "user_agent": agent if isinstance(agent := context.get("userAgent"), str) else None,
        }
        known = {name: value for name, value in found.items() if value is not None} | known
    return Scene(**known)


def bounded(properties: Mapping[str, Any], private: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
    """Return the properties that may be kept, and whether some were cut for size.

    Left out are fields that say who somebody is, and text equal to one of the ids in `private`. Of the rest those are
    kept, in the order sent, that fit into 4 KiB of JSON.
    """
    kept = {
        name: value
        for name, value in properties.items()
        if name not in PERSONAL and value is not None and value not in private
    }
    if len(orjson.dumps(kept)) <= PROPERTIES_BYTES:
        return kept, False
    fitting: dict[str, Any] = {}
    left = PROPERTIES_BYTES
    for name, value in kept.items():
        size = len(orjson.dumps({name: value}))
        if size <= left:
            fitting[name] = value
            left -= size
    return fitting, True


def _address(value: Any) -> str | None:
    """Return a page's address without query and fragment, where tokens and e-mail addresses travel."""
    if not isinstance(value, str):
        return None
    return value.partition("?")[0].partition("#")[0][:ADDRESS_CHARACTERS] or None


def _word(value: Any) -> str | None:
    return value[:WORD_CHARACTERS] if isinstance(value, str) and value else None
