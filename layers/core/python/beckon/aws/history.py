"""A person's live history in the table: the newest events of one partition, strongly consistent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from beckon.aws.table import body_of, user_partition
from beckon.events.model import Event
from beckon.values import SECOND_MS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE_FACTOR = 2  # events read for each one wanted: about every other is a page view or a search
MAX_PAGES = 4  # however long the history is


class DynamoHistory:
    """The adapter of `ranking.ports.History`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def recent(
        self, shop: str, user_key: str, *, types: frozenset[str], limit: int, since: int, now: int
    ) -> list[Event]:
        """Return the newest events of `types` that name an item, newest first, at most `limit`, each once.

        Reads pages of 2 · limit events until there are enough, four at most.
        """
        found: dict[str, Event] = {}
        pages = rows_of(self._client, self._table, shop, user_key, prefix="E#", page=PAGE_FACTOR * limit, now=now)
        for _, page in zip(range(MAX_PAGES), pages, strict=False):  # in this order: no page is read beyond the last
            for body in page:
                event = Event.from_record(body)
                if event.type in types and event.item is not None and event.ts >= since:
                    found.setdefault(event.message_id, event)
            if len(found) >= limit:
                break
        return sorted(found.values(), key=lambda event: (event.ts, event.message_id), reverse=True)[:limit]


def rows_of(
    client: "DynamoDBClient", table: str, shop: str, user_key: str, *, prefix: str, page: int, now: int
) -> Iterator[list[dict[str, Any]]]:
    """Yield pages of a person's rows whose sort keys begin with `prefix`, last keys first, a consistent read a page.

    Each row as its body; rows expired at `now` (UTC ms) that were not removed yet are left out.
    """
    query: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "PK = :person AND begins_with(SK, :prefix)",
        "ExpressionAttributeValues": {":person": {"S": user_partition(shop, user_key)}, ":prefix": {"S": prefix}},
        "ProjectionExpression": "body, #ttl",
        "ExpressionAttributeNames": {"#ttl": "ttl"},
        "ScanIndexForward": False,
        "ConsistentRead": True,
        "Limit": page,
    }
    while True:
        answer = client.query(**query)
        yield [body_of(row) for row in answer["Items"] if "ttl" not in row or int(row["ttl"]["N"]) * SECOND_MS > now]
        if "LastEvaluatedKey" not in answer:
            return
        query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
