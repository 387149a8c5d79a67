"""A person's live history in the table: the newest events of one partition, strongly consistent."""

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
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "PK = :person AND begins_with(SK, :event)",
            "ExpressionAttributeValues": {":person": {"S": user_partition(shop, user_key)}, ":event": {"S": "E#"}},
            "ProjectionExpression": "body, #ttl",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ScanIndexForward": False,
            "ConsistentRead": True,
            "Limit": PAGE_FACTOR * limit,
        }
        found: dict[str, Event] = {}
        for _ in range(MAX_PAGES):
            page = self._client.query(**query)
            for record in page["Items"]:
                event = Event.from_record(body_of(record))
                expired = "ttl" in record and int(record["ttl"]["N"]) * SECOND_MS <= now
                if event.type in types and event.item is not None and event.ts >= since and not expired:
                    found.setdefault(event.message_id, event)
            if len(found) >= limit or "LastEvaluatedKey" not in page:
                break
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return sorted(found.values(), key=lambda event: (event.ts, event.message_id), reverse=True)[:limit]
