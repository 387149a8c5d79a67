"""Shops and keys, in memory and in the table, keep the same promises."""

import pytest

from beckon.access.model import StoredKey
from beckon.aws import clients
from beckon.aws.keys import DynamoKeys
from tests.memory import MemoryKeys

WRITE = StoredKey("a" * 64, "shoes", "write", 100)
PAIR = StoredKey("AK" + "B" * 18, "shoes", "access", 100)
OTHER = StoredKey("c" * 64, "hats", "secret", 90)


@pytest.fixture(params=["memory", "table"])
def keys(request):
    if request.param == "memory":
        return MemoryKeys()
    table = request.getfixturevalue("table")
    return DynamoKeys(clients.dynamodb(), table)


def test_a_shop_is_made_once_and_the_second_try_leaves_no_key(keys) -> None:
    assert keys.create_shop("shoes", 100, [WRITE, PAIR])
    late = StoredKey("d" * 64, "shoes", "write", 101)
    assert not keys.create_shop("shoes", 101, [late])
    assert keys.find(WRITE.id) == WRITE
    assert keys.find(PAIR.id) == PAIR
    assert keys.find(late.id) is None


def test_a_key_is_added_to_a_shop_that_exists_only(keys) -> None:
    assert not keys.add(WRITE)
    assert keys.find(WRITE.id) is None
    keys.create_shop("shoes", 100, [])
    assert keys.add(WRITE)
    assert keys.find(WRITE.id) == WRITE


def test_a_shop_lists_its_own_keys_oldest_first_and_revokes_no_others(keys) -> None:
    keys.create_shop("shoes", 100, [PAIR, WRITE])
    keys.create_shop("hats", 90, [OTHER])
    old = StoredKey("0" * 64, "shoes", "secret", 99)
    keys.add(old)
    assert keys.listed("shoes") == [old, PAIR, WRITE]
    assert not keys.revoke("shoes", OTHER.id)
    assert keys.find(OTHER.id) == OTHER
    assert keys.shops() == ["hats", "shoes"]


def test_a_revoked_key_is_gone_from_both_places_and_cannot_be_revoked_again(keys) -> None:
    keys.create_shop("shoes", 100, [WRITE, PAIR])
    assert keys.revoke("shoes", WRITE.id)
    assert not keys.revoke("shoes", WRITE.id)
    assert keys.find(WRITE.id) is None
    assert keys.listed("shoes") == [PAIR]
