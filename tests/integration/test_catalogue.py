"""Items in the table: kept, listed, deleted and followed, without a word between two shops."""

import random
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.catalog.model import Item
from beckon.catalog.ports import Change
from beckon.values import DAY_MS, Refused
from tests.faulty import Failing, cancelled

NOW = 1_790_000_000_000


@pytest.fixture
def catalogue(table):
    return DynamoCatalogue(clients.dynamodb(), table)


def item(name, *, shop="shoes", updated=NOW, **fields):
    return Item(shop, name, f"the {name}", updated, **fields)


def full(name):
    return item(
        name,
        parent_id="p",
        description="für alle: 靴",
        categories=("boots", "winter"),
        attributes={"colour": ["red", "blue"], "size": 42, "weight": 1.5, "new": True},
        price=19.99,
        currency="EUR",
        available=False,
        image="https://cdn.example/a.jpg",
    )


def rows(table, partition):
    answer = clients.dynamodb().query(
        TableName=table, KeyConditionExpression="PK = :p", ExpressionAttributeValues={":p": {"S": partition}}
    )
    return answer["Items"]


def test_an_item_comes_back_as_it_was_put(catalogue) -> None:
    assert catalogue.put([full("boot")]) == 1
    assert catalogue.get("shoes", "boot") == full("boot")
    assert catalogue.get("shoes", "sock") is None


def test_a_change_is_seen_at_once_and_oldest_first(catalogue) -> None:
    catalogue.put([item("boot"), item("sock", updated=NOW - 5)])
    assert catalogue.changes("shoes", 0) == [
        Change("sock", NOW - 5, item("sock", updated=NOW - 5)),
        Change("boot", NOW, item("boot")),
    ]
    assert [change.item_id for change in catalogue.changes("shoes", NOW - 5)] == ["boot"]
    assert catalogue.changes("shoes", NOW) == []
    assert len(catalogue.changes("shoes", -7)) == 2


def test_the_same_item_again_changes_nothing(catalogue) -> None:
    catalogue.put([full("boot")])
    assert catalogue.put([replace(full("boot"), updated=NOW + 60_000)]) == 0
    assert len(catalogue.changes("shoes", 0)) == 1
    assert catalogue.get("shoes", "boot").updated == NOW


@pytest.mark.parametrize(
    "fields",
    [{"available": True}, {"price": 20.0}, {"categories": ("winter", "boots")}, {"attributes": {}}, {"image": None}],
)
def test_any_difference_is_a_change(catalogue, fields) -> None:
    catalogue.put([full("boot")])
    assert catalogue.put([replace(full("boot"), updated=NOW + 1, **fields)]) == 1
    assert catalogue.changes("shoes", NOW) == [Change("boot", NOW + 1, catalogue.get("shoes", "boot"))]


def test_a_change_is_later_than_the_one_before_whatever_the_clocks_say(catalogue) -> None:
    catalogue.put([item("boot", price=1.0)])
    catalogue.put([item("boot", price=2.0, updated=NOW - 9_000)])  # by a container whose clock is nine seconds behind
    assert catalogue.changes("shoes", NOW) == [Change("boot", NOW + 1, item("boot", price=2.0, updated=NOW + 1))]
    assert catalogue.delete("shoes", "boot", NOW - 9_000)
    catalogue.put([item("boot", price=2.0, updated=NOW - 9_000)])
    assert [(change.ts - NOW, change.item is None) for change in catalogue.changes("shoes", NOW + 1)] == [
        (2, True),
        (3, False),
    ]


def test_a_deleted_item_is_nowhere_but_in_the_change_log(catalogue) -> None:
    catalogue.put([item("boot"), item("sock")])
    assert catalogue.delete("shoes", "boot", NOW + 10)
    assert catalogue.get("shoes", "boot") is None
    assert list(catalogue.all("shoes")) == [item("sock")]
    assert catalogue.changes("shoes", NOW) == [Change("boot", NOW + 10, None)]
    assert not catalogue.delete("shoes", "boot", NOW + 20)
    assert not catalogue.delete("shoes", "never", NOW + 20)
    assert len(catalogue.changes("shoes", NOW)) == 1


def test_a_deleted_item_can_come_back(catalogue) -> None:
    catalogue.put([item("boot")])
    catalogue.delete("shoes", "boot", NOW + 10)
    assert catalogue.put([item("boot", updated=NOW + 20)]) == 1
    assert catalogue.get("shoes", "boot") == item("boot", updated=NOW + 20)
    assert list(catalogue.all("shoes")) == [item("boot", updated=NOW + 20)]


def test_of_two_items_with_one_id_the_later_stands(catalogue) -> None:
    assert catalogue.put([item("boot", price=1.0), item("sock"), item("boot", price=2.0)]) == 2
    assert catalogue.get("shoes", "boot").price == 2.0


def test_every_item_is_listed_once_over_pages_of_any_size(catalogue) -> None:
    names = [f"item {n} / ? # % é" for n in range(70)] + ["x" * 256, "靴" * 256]
    catalogue.put([item(name) for name in names])
    assert sorted(one.id for one in catalogue.all("shoes")) == sorted(names)
    for size in (1, 7, 72, 100):
        seen, cursor = [], None
        while True:
            page, cursor = catalogue.page("shoes", size, cursor)
            assert 0 < len(page) <= size
            seen += [one.id for one in page]
            if cursor is None:
                break
            assert len(page) == size
        assert sorted(seen) == sorted(names)


def test_an_empty_shop_lists_nothing(catalogue) -> None:
    assert catalogue.page("shoes", 10, None) == ([], None)
    assert list(catalogue.all("shoes")) == []


def test_two_shops_never_see_each_other(catalogue) -> None:
    catalogue.put([item("boot"), item("boot", shop="hats", price=3.0)])
    assert catalogue.get("hats", "boot").price == 3.0
    assert catalogue.delete("hats", "boot", NOW + 1)
    assert catalogue.get("shoes", "boot") == item("boot")
    assert [one.shop for one in catalogue.all("shoes")] == ["shoes"]
    assert catalogue.page("hats", 10, None) == ([], None)
    assert [change.item_id for change in catalogue.changes("shoes", 0)] == ["boot"]


def test_another_shops_cursor_is_refused(catalogue) -> None:
    catalogue.put([item(str(n), shop=shop) for n in range(3) for shop in ("shoes", "hats")])
    _, cursor = catalogue.page("shoes", 1, None)
    with pytest.raises(Refused, match="cursor"):
        catalogue.page("hats", 1, cursor)


def test_change_lines_and_deletions_expire_after_ninety_days_and_items_do_not(catalogue, table) -> None:
    catalogue.put([item("boot"), item("sock")])
    catalogue.delete("shoes", "sock", NOW + 2_000)
    expiries = [int(row["ttl"]["N"]) for row in rows(table, "shoes#D")]
    assert expiries == [(NOW + 90 * DAY_MS) // 1000] * 2 + [(NOW + 2_000 + 90 * DAY_MS) // 1000]
    assert "ttl" not in rows(table, "shoes#I#boot")[0]
    assert int(rows(table, "shoes#I#sock")[0]["ttl"]["N"]) == (NOW + 2_000 + 90 * DAY_MS) // 1000


def test_a_conflict_is_tried_again_and_a_lasting_one_raises(table) -> None:
    conflict = cancelled("TransactionConflict", "None", "None")
    catalogue = DynamoCatalogue(Failing(clients.dynamodb(), "transact_write_items", [conflict] * 2), table)
    assert catalogue.put([item("boot")]) == 1
    catalogue = DynamoCatalogue(Failing(clients.dynamodb(), "transact_write_items", [conflict] * 9), table)
    with pytest.raises(ClientError, match="TransactionCanceled"):
        catalogue.put([item("sock")])
    assert catalogue.get("shoes", "sock") is None


def test_what_a_fault_left_unwritten_sending_again_writes(table) -> None:
    items = [item(str(n)) for n in range(100)]
    random.Random(7).shuffle(items)
    throttled = cancelled(*["ThrottlingError"] * 99)
    catalogue = DynamoCatalogue(Failing(clients.dynamodb(), "transact_write_items", [None, *[throttled] * 4]), table)
    with pytest.raises(ClientError):
        catalogue.put(items)
    kept = len(list(catalogue.all("shoes")))
    assert 0 < kept < 100
    assert catalogue.put(items) == 100 - kept
    assert len(catalogue.changes("shoes", 0)) == 100


def test_keys_left_unprocessed_are_asked_for_again(table) -> None:
    class Sparing(Failing):
        def batch_get_item(self, RequestItems):  # noqa: N803
            (name, asked), *_ = RequestItems.items()
            first, rest = asked["Keys"][:1], asked["Keys"][1:]
            answer = self._client.batch_get_item(RequestItems={name: asked | {"Keys": first}})
            return answer | {"UnprocessedKeys": {name: asked | {"Keys": rest}} if rest else {}}

    catalogue = DynamoCatalogue(clients.dynamodb(), table)
    catalogue.put([item("a"), item("b"), item("c")])
    sparing = DynamoCatalogue(Sparing(clients.dynamodb(), "", []), table)
    assert sparing.put([item("a"), item("b"), item("c")]) == 0
    with pytest.raises(ClientError, match="Throttling"):
        sparing.put([item(name) for name in "abcdefg"])
