"""Who a caller is, and whose history it may read."""

import hashlib

import jwt
import pytest

from beckon.access.model import Caller, is_key_id, secret_access_key
from beckon.access.service import KNOWN_MS, REMEMBERED, UNKNOWN_MS, Access
from beckon.access.shops import Shops
from beckon.values import DAY_MS, HOUR_MS, Refused, user_key
from tests.memory import MemoryKeys

SECRET = b"the deployment's own secret, as long as this"
NOW = 1_790_000_000_000


@pytest.fixture
def keys():
    return MemoryKeys()


@pytest.fixture
def shops(keys):
    drawn = iter(range(1, 1_000))
    return Shops(keys, SECRET, lambda size: hashlib.sha512(str(next(drawn)).encode()).digest()[:size])


@pytest.fixture
def shoes(shops):
    return shops.create("shoes", NOW)


@pytest.fixture
def hats(shops):
    return shops.create("hats", NOW)


@pytest.fixture
def access(keys):
    return Access(keys, SECRET)


def token(pair, sub="ann", *, now=NOW, life=HOUR_MS, kid=None, key=None, algorithm="HS256", **claims):
    claims = {"sub": sub, "exp": (now + life) // 1000} | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": pair["access_key_id"] if kid is None else kid}
    return jwt.encode(claims, key or pair["secret_access_key"], algorithm=algorithm, headers=headers)


def refusal(call, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    return caught.value


def reading(access, caller, *, user=None, anonymous_id=None, user_token=None, now=NOW):
    return access.readable(caller, user=user, anonymous_id=anonymous_id, user_token=user_token, now=now)


def test_a_key_names_its_shop_and_what_it_may_do(access, shoes, hats) -> None:
    assert access.caller(shoes["write_key"], NOW) == Caller("shoes", "write")
    assert access.caller(hats["secret_key"], NOW) == Caller("hats", "secret")


@pytest.mark.parametrize("presented", [None, ""])
def test_no_key_is_told_how_to_send_one(access, presented) -> None:
    assert refusal(access.caller, presented, NOW).code == "missing-key"


@pytest.mark.parametrize("presented", ["wk_guess", "x" * 100_000, "\ud800", "é"])
def test_a_key_nobody_made_is_unknown(access, shoes, presented) -> None:
    assert refusal(access.caller, presented, NOW).code == "unknown-key"


def test_an_access_key_id_is_public_and_opens_nothing(access, shoes) -> None:
    assert refusal(access.caller, shoes["access_key_id"], NOW).code == "unknown-key"
    assert refusal(access.caller, shoes["secret_access_key"], NOW).code == "unknown-key"


def test_the_hash_at_rest_is_no_key(access, keys, shoes) -> None:
    for stored in keys.keys:
        assert refusal(access.caller, stored, NOW).code == "unknown-key"


def test_no_key_is_kept_as_it_was_shown(keys, shoes) -> None:
    kept = repr(keys.keys)
    assert all(shoes[name] not in kept for name in ("write_key", "secret_key", "secret_access_key"))
    assert shoes["access_key_id"] in kept


def test_a_write_key_is_refused_where_a_secret_key_is_needed(access, shoes) -> None:
    assert refusal(access.server, shoes["write_key"], NOW).code == "forbidden"
    assert access.server(shoes["secret_key"], NOW) == Caller("shoes", "secret")


def test_a_known_key_is_looked_up_once_a_minute_and_a_revoked_one_stops_working_then(
    access, keys, shops, shoes
) -> None:
    access.caller(shoes["write_key"], NOW)
    shops.revoke("shoes", shoes["write_key"])
    assert access.caller(shoes["write_key"], NOW + KNOWN_MS - 1).shop == "shoes"
    assert len(keys.asked) == 1
    assert refusal(access.caller, shoes["write_key"], NOW + KNOWN_MS).code == "unknown-key"


def test_an_unknown_key_is_looked_up_again_after_seconds(access, keys, shops) -> None:
    refusal(access.caller, "wk_later", NOW)
    refusal(access.caller, "wk_later", NOW + UNKNOWN_MS - 1)
    assert len(keys.asked) == 1
    refusal(access.caller, "wk_later", NOW + UNKNOWN_MS)
    assert len(keys.asked) == 2


def test_strangers_guesses_neither_fill_the_memory_nor_push_out_a_key_in_use(access, keys, shoes) -> None:
    access.caller(shoes["write_key"], NOW)
    for guess in range(REMEMBERED + 50):
        refusal(access.caller, f"wk_{guess}", NOW)
    assert len(access._unknown) == REMEMBERED
    looked_up = len(keys.asked)
    access.caller(shoes["write_key"], NOW)
    assert len(keys.asked) == looked_up


def test_a_secret_key_reads_any_user_of_its_shop(access) -> None:
    read = reading(access, Caller("shoes", "secret"), user="ann", anonymous_id="a1")
    assert read == (user_key(SECRET, "shoes", "user", "ann"), user_key(SECRET, "shoes", "anonymous", "a1"))


def test_the_same_id_is_somebody_else_in_another_shop(access) -> None:
    read = [reading(access, Caller(shop, "secret"), user="ann") for shop in ("shoes", "hats")]
    assert read[0] != read[1]


def test_a_write_key_reads_an_anonymous_id_and_no_user_of_that_name(access) -> None:
    assert reading(access, Caller("shoes", "write"), anonymous_id="ann") == (
        user_key(SECRET, "shoes", "anonymous", "ann"),
    )
    assert refusal(reading, access, Caller("shoes", "write"), user="ann").code == "forbidden"


def test_a_stranger_has_no_history(access) -> None:
    assert reading(access, Caller("shoes", "write")) == ()


def test_a_write_key_reads_the_user_the_shops_server_vouched_for(access, shoes) -> None:
    read = reading(access, Caller("shoes", "write"), user="ann", anonymous_id="a1", user_token=token(shoes))
    assert read == (user_key(SECRET, "shoes", "user", "ann"), user_key(SECRET, "shoes", "anonymous", "a1"))


def test_a_token_lives_thirty_days_at_most_by_the_requests_clock(access, shoes) -> None:
    caller = Caller("shoes", "write")
    assert reading(access, caller, user="ann", user_token=token(shoes, life=30 * DAY_MS))
    held = token(shoes, life=HOUR_MS)
    assert reading(access, caller, user="ann", user_token=held, now=NOW + HOUR_MS - 1)
    assert refusal(reading, access, caller, user="ann", user_token=held, now=NOW + HOUR_MS).code == "bad-user-token"


def bad_tokens():
    def of(name, make):
        return pytest.param(make, id=name)

    return [
        of("another user's", lambda own, _: token(own, "bob")),
        of("another shop's key", lambda _, other: token(other)),
        of("another shop's key under this one's name", lambda own, other: token(own, key=other["secret_access_key"])),
        of("signed with a key nobody has", lambda own, _: token(own, key="x" * 43)),
        of("signed with the id", lambda own, _: token(own, key=own["access_key_id"] * 2)),
        of("unknown kid", lambda own, _: token(own, kid="AK" + "A" * 18)),
        of("kid of a write key", lambda own, _: token(own, kid=hashlib.sha256(own["write_key"].encode()).hexdigest())),
        of("empty kid", lambda own, _: token(own, kid="")),
        of("not signed", lambda own, _: unsigned(own)),
        of("other algorithm", lambda own, _: token(own, algorithm="HS512", key=own["secret_access_key"] * 2)),
        of("other algorithm, same key", lambda own, _: token(own, algorithm="HS384", key=own["secret_access_key"])),
        of("no expiry", lambda own, _: token(own, exp=None)),
        of("expiry no number", lambda own, _: token(own, exp="soon")),
        of("expiry true", lambda own, _: token(own, exp=True)),
        of("expiry never", lambda own, _: token(own, exp=float("inf"))),
        of("expiry not a number", lambda own, _: token(own, exp=float("nan"))),
        of("expiry too far", lambda own, _: token(own, life=30 * DAY_MS + 1_000)),
        of("expired", lambda own, _: token(own, life=0)),
        of("not yet valid", lambda own, _: token(own, nbf=NOW // 1000 + 10)),
        of("no subject", lambda own, _: token(own, sub=None)),
        of("changed payload", lambda own, _: swapped_payload(token(own, "bob"), token(own, "ann"))),
        of("no token at all", "ann"),
        of("three parts of nothing", ".."),
        of("very long", "a" * 100_000),
        of("no ascii", "é.é.é"),
        of("no text at all", "\ud800"),
    ]


def unsigned(pair):
    claims = {"sub": "ann", "exp": NOW // 1000 + 60}
    return jwt.encode(claims, None, algorithm="none", headers={"kid": pair["access_key_id"]})


def swapped_payload(signed, wanted):
    head, _, signature = signed.split(".")
    return ".".join((head, wanted.split(".")[1], signature))


@pytest.mark.filterwarnings("ignore:The HMAC key")
@pytest.mark.parametrize("make", bad_tokens())
@pytest.mark.parametrize("kind", ["write", "secret"])
def test_a_token_that_does_not_hold_is_refused(access, shoes, hats, make, kind) -> None:
    bad = make if isinstance(make, str) else make(shoes, hats)
    fault = refusal(reading, access, Caller("shoes", kind), user="ann", user_token=bad)
    assert (fault.code, fault.field) == ("bad-user-token", "user_token")


def test_a_token_alone_names_nobody(access, shoes) -> None:
    fault = refusal(reading, access, Caller("shoes", "write"), user_token=token(shoes))
    assert (fault.code, fault.field) == ("bad-user-token", "user")


def test_a_revoked_access_key_vouches_no_more(access, shops, shoes) -> None:
    shops.revoke("shoes", shoes["access_key_id"])
    fault = refusal(reading, access, Caller("shoes", "write"), user="ann", user_token=token(shoes))
    assert fault.code == "bad-user-token"


def test_a_pairs_secret_follows_from_the_master_secret_and_the_id_alone() -> None:
    # Worked with: printf %s AK… | openssl dgst -sha256 -hmac … -binary | base64, then +/= → -_ and none.
    assert secret_access_key(b"master", "AKABCDEFGHIJKLMNOPQR") == "qgcJD7x019TiiLNpnxOvFdrfJXwMeffhPzvHxUEwCOs"
    assert secret_access_key(b"other", "AKABCDEFGHIJKLMNOPQR") != "qgcJD7x019TiiLNpnxOvFdrfJXwMeffhPzvHxUEwCOs"


def test_a_shop_is_made_once_and_its_keys_have_their_forms(shops, shoes) -> None:
    assert set(shoes) == {"shop", "write_key", "secret_key", "access_key_id", "secret_access_key"}
    assert shoes["write_key"].startswith("wk_")
    assert shoes["secret_key"].startswith("sk_")
    assert len(shoes["access_key_id"]) == 20
    assert is_key_id(shoes["access_key_id"])
    assert refusal(shops.create, "shoes", NOW).code == "conflict"


@pytest.mark.parametrize("name", ["", "Shoes", "a#b", "-a", "a" * 64, "é"])
def test_a_shop_needs_a_name_that_fits_into_keys_and_paths(shops, name) -> None:
    assert refusal(shops.create, name, NOW).code == "bad-shop"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("write", {"write_key"}), ("secret", {"secret_key"}), ("access", {"access_key_id", "secret_access_key"})],
)
def test_a_key_is_rotated_by_making_another_and_revoking_the_first(shops, shoes, access, kind, fields) -> None:
    made = shops.create_key("shoes", kind, NOW + 1)
    assert set(made) == {"shop", "key_id"} | fields
    assert [one["kind"] for one in shops.keys("shoes")["keys"]].count(kind) == 2
    first = shoes["access_key_id" if kind == "access" else f"{kind}_key"]
    shops.revoke("shoes", first)
    assert made["key_id"] in [one["key_id"] for one in shops.keys("shoes")["keys"]]
    assert len(shops.keys("shoes")["keys"]) == 3
    shops.revoke("shoes", made["key_id"])
    assert len(shops.keys("shoes")["keys"]) == 2


def test_commands_say_what_they_cannot_find(shops, shoes, hats) -> None:
    assert refusal(shops.create_key, "gloves", "write", NOW).code == "not-found"
    assert refusal(shops.create_key, "shoes", "admin", NOW).field == "kind"
    assert refusal(shops.revoke, "shoes", "wk_guess").code == "not-found"
    assert refusal(shops.revoke, "shoes", hats["write_key"]).code == "not-found"  # no shop revokes another's


def test_shops_are_listed_and_never_their_keys_text(shops, shoes, hats) -> None:
    assert shops.all() == {"shops": ["hats", "shoes"]}
    assert all(value not in repr(shops.keys("shoes")) for value in (shoes["write_key"], shoes["secret_key"]))
