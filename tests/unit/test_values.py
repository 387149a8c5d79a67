import hashlib
import hmac

import pytest

from beckon.values import DAY_MS, Refused, day, iso, key_part, shop_id, time_ms, user_key


def test_a_user_key_is_the_truncated_hmac_of_shop_kind_and_id() -> None:
    expected = hmac.new(b"s3cret", b"acme\0user\0alice", hashlib.sha256).hexdigest()[:32]
    assert user_key(b"s3cret", "acme", "user", "alice") == expected


@pytest.mark.parametrize(
    ("secret", "shop", "identity", "caller_id"),
    [
        (b"other", "acme", "user", "alice"),
        (b"s3cret", "bolt", "user", "alice"),
        (b"s3cret", "acme", "anonymous", "alice"),
        (b"s3cret", "acme", "user", "Alice"),
    ],
)
def test_a_user_key_links_no_two_secrets_shops_kinds_or_ids(secret, shop, identity, caller_id) -> None:
    assert user_key(secret, shop, identity, caller_id) != user_key(b"s3cret", "acme", "user", "alice")


def test_a_user_key_takes_any_text_even_a_lone_surrogate() -> None:
    assert len(user_key(b"s3cret", "acme", "user", "\ud83d")) == 32


@pytest.mark.parametrize("text", ["", "Acme", "a#b", "-a", "a" * 64, "acme\n", "../x", "店"])
def test_a_shop_id_that_would_need_escaping_is_refused(text) -> None:
    with pytest.raises(Refused, match="shop") as caught:
        shop_id(text)
    assert (caught.value.code, caught.value.field) == ("bad-shop", "shop")


def test_a_key_part_never_carries_a_separator_and_stays_short() -> None:
    assert key_part("a#b/c d") == "a%23b%2Fc%20d"
    assert key_part("x" * 200) == "x" * 200
    long = key_part("x" * 201)
    assert long == "~" + hashlib.sha256(b"x" * 201).hexdigest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T08:00:00.250+08:00", 1_795_478_400_250),
        ("2026-11-24T00:00:00.250", 1_795_478_400_250),
        ("2026-11-24", 1_795_478_400_000),
    ],
)
def test_a_time_is_read_in_its_zone_and_in_utc_without_one(text, expected) -> None:
    assert time_ms(text) == expected


def test_time_is_written_as_it_is_read() -> None:
    assert iso(1_795_478_400_250) == "2026-11-24T00:00:00.250Z"
    assert time_ms(iso(1_795_478_400_250)) == 1_795_478_400_250
    assert day(1_795_478_400_250 - 251) == "2026-11-23"
    assert DAY_MS == 24 * 60 * 60 * 1000
