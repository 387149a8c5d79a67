"""What a profile is made of: the fakes and the adapters over the table, under one contract."""

import pytest

from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.aws.profiles import MAX_PAGES, DynamoBehaviour
from beckon.aws.table import event_key, outcome_key, row
from beckon.conversions.model import Outcome
from beckon.values import DAY_MS
from tests.profile_shop import NOW, SHOP, MemoryBehaviour, MemoryItems, event, item, outcome

RETENTION_MS = 180 * DAY_MS


class Counted:
    """The table's client, counting what it is asked."""

    def __init__(self, client) -> None:
        self._client, self.queries = client, []

    def query(self, **asked):
        self.queries.append(asked)
        return self._client.query(**asked)


class Endless:
    """A client of a table where every page is empty and never the last, as when all of it has expired."""

    def __init__(self) -> None:
        self.queries = 0

    def query(self, **_):
        self.queries += 1
        return {"Items": [], "LastEvaluatedKey": {"PK": {"S": "p"}, "SK": {"S": str(self.queries)}}}


@pytest.fixture(params=["fake", "table"])
def behaviour(request):
    """A behaviour, and how rows get into it."""
    if request.param == "fake":
        fake = MemoryBehaviour()
        return fake, fake.put
    name = request.getfixturevalue("table")

    def put(*rows, expires=NOW + DAY_MS):
        for one in rows:
            key = outcome_key(one) if isinstance(one, Outcome) else event_key(one)
            clients.dynamodb().put_item(TableName=name, Item=row(key, one.to_record(), expires))

    return DynamoBehaviour(clients.dynamodb(), name), put


def events(behaviour, user="ann", limit=50, shop=SHOP):
    return behaviour.events(shop, user, limit=limit, since=NOW - RETENTION_MS, now=NOW)


def outcomes(behaviour, user="ann", limit=50, shop=SHOP):
    return behaviour.outcomes(shop, user, limit=limit, since=NOW - RETENTION_MS, now=NOW)


def test_events_and_outcomes_come_back_as_they_were_put(behaviour) -> None:
    behaviour, put = behaviour
    seen, bought = event("view", "boot", days=2), event("purchase", "boot", days=1, value=9.5, currency="EUR")
    came = outcome("purchase", "boot", days=1, value=9.5, currency="EUR")
    put(seen, bought, came, event("impression", "cap"))
    found = events(behaviour)
    assert sorted(found.rows, key=lambda one: one.ts) == [seen, bought]
    assert found.whole
    assert list(outcomes(behaviour).rows) == [came]
    assert outcomes(behaviour).whole


def test_the_newest_events_are_read_and_no_more_than_asked_for(behaviour) -> None:
    behaviour, put = behaviour
    put(*(event("view", f"i{n}", days=n) for n in range(5)), *(outcome("click", f"i{n}") for n in range(5)))
    found = events(behaviour, limit=3)
    assert {one.item for one in found.rows} == {"i0", "i1", "i2"}
    assert not found.whole
    assert events(behaviour, limit=5).whole
    assert (len(outcomes(behaviour, limit=3).rows), outcomes(behaviour, limit=3).whole) == (3, False)


def test_what_is_before_the_retention_or_expired_is_left_out(behaviour) -> None:
    behaviour, put = behaviour
    put(event("view", "old", days=181), outcome("cart", "old", days=181), event("view", "new"))
    put(event("view", "gone", days=1), outcome("cart", "gone", days=1), expires=NOW - 1_000)
    assert [one.item for one in events(behaviour).rows] == ["new"]
    assert list(outcomes(behaviour).rows) == []


def test_other_people_and_other_shops_are_not_read(behaviour) -> None:
    behaviour, put = behaviour
    put(event("view", "cap", user="bob"), event("view", "coat", shop="south"), outcome("cart", "coat", shop="south"))
    assert (list(events(behaviour).rows), list(outcomes(behaviour).rows)) == ([], [])
    assert len(outcomes(behaviour, shop="south").rows) == 1


def test_pages_are_consistent_and_followed(table) -> None:
    client = Counted(clients.dynamodb())
    for n in range(12):
        one = event("view", f"i{n}", days=n, properties={"note": "x" * 200_000})  # a page is a megabyte
        clients.dynamodb().put_item(TableName=table, Item=row(event_key(one), one.to_record(), NOW + DAY_MS))
    found = events(DynamoBehaviour(client, table))
    assert (len(found.rows), found.whole) == (12, True)
    assert len(client.queries) > 1
    assert all(query["ConsistentRead"] for query in client.queries)


def test_pages_are_bounded_however_many_there_are() -> None:
    client = Endless()
    found = events(DynamoBehaviour(client, "table"))
    assert (list(found.rows), found.whole) == ([], False)
    assert client.queries == MAX_PAGES


@pytest.mark.parametrize("kind", ["fake", "table"])
def test_items_are_found_by_name_a_hundred_a_read_and_the_deleted_are_not(kind, request) -> None:
    kept = [item(f"i{n}", price=1.0 + n, brand="Fell") for n in range(130)]
    other = item("i3", shop="south", price=99.0)
    if kind == "fake":
        shelf = MemoryItems(*kept[1:], other)
    else:
        name = request.getfixturevalue("table")
        shelf = DynamoCatalogue(clients.dynamodb(), name)
        shelf.put([*kept, other])
        shelf.delete(SHOP, "i0", NOW + 5)
    wanted = [one.id for one in kept] + ["unheard of", "i3"]
    assert shelf.named(SHOP, wanted) == {one.id: one for one in kept[1:]}
    assert shelf.named(SHOP, []) == {}
    assert len(shelf.page(SHOP, 7, None)[0]) == 7
