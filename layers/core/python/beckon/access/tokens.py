"""A user token: the shop's server vouches for one user, so that a browser with a write key may name that user."""

from collections.abc import Mapping
from typing import Any

from beckon.values import DAY_MS, SECOND_MS, Refused

MAX_LIFE_MS = 30 * DAY_MS
MAX_CHARACTERS = 4_096


def signer(token: str) -> str:
    """Return the access key id that `token` says it was signed with; nothing is verified yet.

    Raises:
        Refused: `token` is no JWT, or names no key.
    """
    import jwt  # noqa: PLC0415 -- 90 ms of imports that only a request with a token should pay

    if len(token) > MAX_CHARACTERS:
        raise _bad(f"is longer than {MAX_CHARACTERS} characters")
    if not token.isascii():
        raise _bad("is no JWT (which has letters, digits, hyphens and dots alone)")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError as fault:
        raise _bad(f"is no JWT ({fault})") from None
    if not isinstance(kid, str):
        raise _bad("names no access key; put its id into the header's `kid`")
    return kid


def verify(token: str, key: str, user: str, now: int) -> None:
    """Return if `token` is signed with `key` (HS256), names `user` and holds at `now` (UTC ms).

    Raises:
        Refused: wrong signature or algorithm, no or too distant expiry, expired, not yet valid, or another user.
    """
    import jwt  # noqa: PLC0415 -- as above

    # The times are compared below, with the request's own clock.
    options = {"require": ["exp", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}
    try:
        claims: Mapping[str, Any] = jwt.decode(token, key, algorithms=["HS256"], options=options)  # type: ignore[arg-type]
    except jwt.InvalidTokenError as fault:
        raise _bad(f"is not valid: {fault}") from None
    expires, begins = _time_ms(claims, "exp"), _time_ms(claims, "nbf") if "nbf" in claims else 0
    if not expires > now:
        raise _bad("has expired; let your server sign a new one")
    if not expires <= now + MAX_LIFE_MS:
        raise _bad(f"expires more than {MAX_LIFE_MS // DAY_MS} days ahead; sign it for a shorter time")
    if not begins <= now:
        raise _bad("is not valid yet")
    if claims["sub"] != user:
        raise _bad("was signed for another user")


def _time_ms(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if not isinstance(value, int | float):
        raise _bad(f"has a claim `{name}` that is not a number of seconds")
    return value * SECOND_MS


def _bad(what: str) -> Refused:
    return Refused("bad-user-token", f"the user token {what}", "user_token")
