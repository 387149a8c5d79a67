"""Shops and their keys, as the deployment's operator makes and revokes them."""

from collections.abc import Callable
from typing import Any, get_args

from beckon.access.model import FreshKey, KeyKind, fresh_key, is_key_id, key_id, secret_access_key
from beckon.access.ports import Keys
from beckon.values import Refused, iso, shop_id


class Shops:
    """The operator's commands. Keys are in the answer once and cannot be had again; make new ones instead."""

    def __init__(self, keys: Keys, secret: bytes, random: Callable[[int], bytes]) -> None:
        self._keys, self._secret, self._random = keys, secret, random

    def create(self, shop: str, now: int) -> dict[str, Any]:
        """Return a new shop's write key, secret key and access-key pair.

        Raises:
            Refused: the shop exists, or its name cannot be one.
        """
        kinds: tuple[KeyKind, ...] = ("write", "secret", "access")
        made = [fresh_key(shop_id(shop), kind, now, self._random) for kind in kinds]
        if not self._keys.create_shop(shop, now, [key.stored for key in made]):
            raise Refused("conflict", f"shop {shop} exists; if its keys are lost, use create-key", "shop")
        return {"shop": shop} | {name: text for key in made for name, text in self._shown(key).items()}

    def create_key(self, shop: str, kind: str, now: int) -> dict[str, Any]:
        """Return one more key of the shop: `write`, `secret`, or an `access` pair; the older ones stay valid.

        Raises:
            Refused: no such shop, or no such kind of key.
        """
        match kind:
            case "write" | "secret" | "access":
                made = fresh_key(shop_id(shop), kind, now, self._random)
            case _:
                kinds = ", ".join(get_args(KeyKind.__value__))
                raise Refused("invalid-request", f"kind {kind[:80]!r} must be one of {kinds}", "kind")
        if not self._keys.add(made.stored):
            raise Refused("not-found", f"no shop {shop}; make it with create-shop", "shop")
        return {"shop": shop, "key_id": made.stored.id} | self._shown(made)

    def revoke(self, shop: str, key: str) -> dict[str, Any]:
        """Forget a key, named by itself or its id; containers that know it honour it for another minute.

        Raises:
            Refused: the shop has no such key.
        """
        wanted = key if is_key_id(key) else key_id(key)
        if not self._keys.revoke(shop_id(shop), wanted):
            raise Refused("not-found", f"shop {shop} has no such key; list-keys shows the ids of those it has", "key")
        return {"shop": shop, "revoked": wanted}

    def keys(self, shop: str) -> dict[str, Any]:
        """Return the ids, kinds and times of the shop's keys, oldest first."""
        listed = self._keys.listed(shop_id(shop))
        keys = [{"key_id": key.id, "kind": key.kind, "created": iso(key.created)} for key in listed]
        return {"shop": shop, "keys": keys}

    def all(self) -> dict[str, Any]:
        """Return every shop."""
        return {"shops": self._keys.shops()}

    def _shown(self, key: FreshKey) -> dict[str, str]:
        if key.stored.kind == "access":
            secret = secret_access_key(self._secret, key.text)
            return {"access_key_id": key.text, "secret_access_key": secret}
        return {f"{key.stored.kind}_key": key.text}
