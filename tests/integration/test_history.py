from collections.abc import Callable

import pytest

from beckon.aws import clients
from beckon.aws.history import MAX_PAGES, DynamoHistory
from beckon.aws.table import event_key, row
from beckon.events.model import Event
from beckon.values import DAY_MS
from tests.ranking_shop import NOW, SHOP, FakeHistory, event

RANKED = frozenset({"view", "click", "cart", "purchase"})


class Counted:
    """The table's client, counting what it is asked."""

    def __init__(self, client) -> None:
        self._client, self.queries = client, []

    def query(self, **asked):
        self.queries.append(asked)
        return self._client.query(**asked)


@pytest.fixture
def put(table: str) -> Callable[..., None]:
    def put(*events: Event, expires: int = NOW + DAY_MS) -> None:
        for one in events:
            item = row(event_key(one), one.to_record(), expires)
            clients.dynamodb().put_item(TableName=table, Item=item)

    return put


@pytest.fixture(params=["fake", "table"])
def history(request: pytest.FixtureRequest):
    """A history, and how events get into it."""
    if request.param == "fake":
        fake = FakeHistory()
        return fake, lambda *events, expires=NOW + DAY_MS: [fake.put(one, expires) for one in events]
    table = request.getfixturevalue("table")
    return DynamoHistory(clients.dynamodb(), table), request.getfixturevalue("put")


def recent(history, user: str = "ann", shop: str = SHOP, limit: int = 10, since: int = NOW - 180 * DAY_MS) -> list[str]:
    found = history.recent(shop, user, types=RANKED, limit=limit, since=since, now=NOW)
    return [one.item for one in found]


def test_the_newest_come_first_and_no_more_than_asked_for(history) -> None:
    history, put = history
    put(event("boot", ago=3), event("cap", ago=1), event("coat", ago=2))
    assert recent(history) == ["cap", "coat", "boot"]
    assert recent(history, limit=2) == ["cap", "coat"]


def test_only_events_of_ranked_types_that_name_an_item_count(history) -> None:
    history, put = history
    kinds = ("refund", "search", "custom", "impression", "rating", "need")
    put(*(event("cap", kind) for kind in kinds), event(None, "view"), event("boot", "purchase"))
    assert recent(history) == ["boot"]


def test_events_before_the_retention_or_expired_are_not_history(history) -> None:
    history, put = history
    put(event("cap", ago=60), expires=NOW - 1_000)
    put(event("coat", ago=60 * 24 * 200), event("boot", ago=60 * 24 * 179))
    assert recent(history) == ["boot"]


def test_a_message_is_counted_once(history) -> None:
    history, put = history
    put(event("cap", ago=1, message_id="same"), event("cap", ago=2, message_id="same"), event("boot", ago=3))
    assert recent(history) == ["cap", "boot"]


def test_other_people_and_other_shops_are_not_read(history) -> None:
    history, put = history
    put(event("cap", user="bob"), event("coat", shop="south"), event("boot"))
    assert recent(history) == ["boot"]
    assert recent(history, shop="south") == ["coat"]
    assert recent(history, user="nobody") == []


def test_order_is_by_the_corrected_time_not_the_senders_clock(history) -> None:
    history, put = history
    put(event("cap", ago=1, original_ts=NOW - 9_000_000), event("boot", ago=2, original_ts=NOW))
    assert recent(history) == ["cap", "boot"]


def test_pages_are_read_until_there_are_enough(table: str, put) -> None:
    put(*(event(f"i{n:02}", "view", ago=100 + n) for n in range(3)), *(event("q", "search", ago=n) for n in range(9)))
    client = Counted(clients.dynamodb())
    assert recent(DynamoHistory(client, table), limit=3) == ["i00", "i01", "i02"]
    assert len(client.queries) == 2
    assert all(query["ConsistentRead"] for query in client.queries)


def test_a_long_history_costs_one_page_and_one_without_items_a_few(table: str, put) -> None:
    client = Counted(clients.dynamodb())
    put(*(event("cap", ago=n) for n in range(60)), *(event("q", "search", ago=n, user="bob") for n in range(60)))
    assert len(recent(DynamoHistory(client, table), limit=5)) == 5
    assert len(client.queries) == 1
    assert recent(DynamoHistory(client, table), limit=5, user="bob") == []
    assert len(client.queries) == 1 + MAX_PAGES
