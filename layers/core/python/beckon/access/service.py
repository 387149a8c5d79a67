"""Who is calling, and whose history may they read?"""

from collections import OrderedDict

from beckon.access import tokens
from beckon.access.model import Caller, StoredKey, is_access_key_id, key_id, secret_access_key
from beckon.access.ports import Keys
from beckon.values import SECOND_MS, Refused, user_key

KNOWN_MS = 60 * SECOND_MS  # so a revoked key works for another minute at most
UNKNOWN_MS = 5 * SECOND_MS
REMEMBERED = 1_024  # keys of each sort a container remembers


class Access:
    """Authenticates every function's callers; look-ups are remembered for the container's life, bounded."""

    def __init__(self, keys: Keys, secret: bytes) -> None:
        self._keys, self._secret = keys, secret
        # Apart, so that a stranger's guesses cannot push out the keys in use.
        self._known: OrderedDict[str, tuple[int, StoredKey]] = OrderedDict()
        self._unknown: OrderedDict[str, int] = OrderedDict()

    def caller(self, presented: str | None, now: int) -> Caller:
        """Return whose key was `presented`.

        Raises:
            Refused: no key, or one that is unknown or revoked.
        """
        if not presented:
            raise Refused("missing-key", "send a key as Basic user name with empty password, or as Bearer token")
        found = self._find(key_id(presented), now)
        if found is None or found.kind == "access":
            raise Refused("unknown-key", "no shop has this key; it may be misspelt or revoked")
        return Caller(found.shop, found.kind)

    def server(self, presented: str | None, now: int) -> Caller:
        """Return the caller if it holds a secret key.

        Raises:
            Refused: as `caller`, and for a write key, which is public.
        """
        caller = self.caller(presented, now)
        if caller.kind != "secret":
            raise Refused("forbidden", "this route needs the shop's secret key; a write key is public")
        return caller

    def readable(
        self, caller: Caller, *, user: str | None, anonymous_id: str | None, user_token: str | None, now: int
    ) -> tuple[str, ...]:
        """Return the user keys whose history the caller may read, the primary one first; none for a stranger.

        Raises:
            Refused: a write key that names a user without that user's token; any token that does not hold.
        """
        if user_token is not None:
            self._check_token(caller, user, user_token, now)
        elif user is not None and caller.kind == "write":
            raise Refused(
                "forbidden", "a write key is public: to name a user, send the user_token your server signed", "user"
            )
        found = []
        if user is not None:
            found.append(user_key(self._secret, caller.shop, "user", user))
        if anonymous_id is not None:
            found.append(user_key(self._secret, caller.shop, "anonymous", anonymous_id))
        return tuple(found)

    def _check_token(self, caller: Caller, user: str | None, token: str, now: int) -> None:
        if user is None:
            raise Refused("bad-user-token", "a user token needs the `user` it was signed for", "user")
        signer = tokens.signer(token)
        key = self._find(signer, now) if is_access_key_id(signer) else None
        if key is None or key.shop != caller.shop:
            raise Refused(
                "bad-user-token", "the user token was signed with a key this shop does not have", "user_token"
            )
        tokens.verify(token, secret_access_key(self._secret, key.id), user, now)

    def _find(self, wanted: str, now: int) -> StoredKey | None:
        until, key = self._known.get(wanted, (0, None))
        if now < until or now < self._unknown.get(wanted, 0):
            return key if now < until else None
        found = self._keys.find(wanted)
        if found is None:
            self._known.pop(wanted, None)
            _remember(self._unknown, wanted, now + UNKNOWN_MS)
        else:
            _remember(self._known, wanted, (now + KNOWN_MS, found))
        return found


def _remember[Value](memory: OrderedDict[str, Value], key: str, value: Value) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)
