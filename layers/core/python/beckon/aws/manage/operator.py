"""The operator's commands: direct invocations of manage, which IAM guards."""

from collections.abc import Mapping
from typing import Any

from beckon.aws.http import problem_body
from beckon.aws.wiring.manage import shops
from beckon.values import Refused

USAGE = (
    'send one of {"command": "create-shop", "shop": …}, {"command": "create-key", "shop": …, "kind": "write" or '
    '"secret" or "access"}, {"command": "list-keys", "shop": …}, {"command": "revoke-key", "shop": …, "key": the key '
    'or its id}, {"command": "list-shops"}, with texts as values and nothing besides'
)


def command(event: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Return what the command answers; under `error`, as problem+json, what was wrong with it."""
    try:
        return _run(event, now)
    except Refused as fault:
        return {"error": problem_body(fault.code, fault.detail, fault.field)}


def _run(event: Mapping[str, Any], now: int) -> dict[str, Any]:
    match event:
        case {"command": "create-shop", "shop": str(shop), **rest} if not rest:
            return shops().create(shop, now)
        case {"command": "create-key", "shop": str(shop), "kind": str(kind), **rest} if not rest:
            return shops().create_key(shop, kind, now)
        case {"command": "list-keys", "shop": str(shop), **rest} if not rest:
            return shops().keys(shop)
        case {"command": "revoke-key", "shop": str(shop), "key": str(key), **rest} if not rest:
            return shops().revoke(shop, key)
        case {"command": "list-shops", **rest} if not rest:
            return shops().all()
        case _:
            raise Refused("invalid-request", f"this is no command: {USAGE}", "command")
