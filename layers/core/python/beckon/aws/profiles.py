"""What a profile is made of, in the table: one person's events and outcomes, strongly consistent and bounded."""

from typing import TYPE_CHECKING, Any

from beckon.aws.history import rows_of
from beckon.conversions.model import Outcome
from beckon.events.model import Event
from beckon.profiles.ports import Reading

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE = 1_000  # rows asked for at once; DynamoDB answers a megabyte at most
MAX_PAGES = 8  # however long the history is


class DynamoBehaviour:
    """The adapter of `profiles.ports.Behaviour`. The newest events are those of the sender's latest times."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def events(self, shop: str, user_key: str, *, limit: int, since: int, now: int) -> Reading[Event]:
        """Return the newest events."""
        read = self._read(shop, user_key, "E#", limit, now)
        found = (Event.from_record(body) for body in read.rows)
        return Reading([event for event in found if event.ts >= since], read.whole)

    def outcomes(self, shop: str, user_key: str, *, limit: int, since: int, now: int) -> Reading[Outcome]:
        """Return outcomes by descending source."""
        read = self._read(shop, user_key, "O#", limit, now)
        found = (Outcome.from_record(body) for body in read.rows)
        return Reading([outcome for outcome in found if outcome.ts >= since], read.whole)

    def _read(self, shop: str, user_key: str, prefix: str, limit: int, now: int) -> Reading[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        pages = rows_of(self._client, self._table, shop, user_key, prefix=prefix, page=min(PAGE, limit + 1), now=now)
        for _ in range(MAX_PAGES):
            page = next(pages, None)
            if page is None:
                return Reading(rows, whole=True)
            rows.extend(page)
            if len(rows) > limit:
                break
        return Reading(rows[:limit], whole=False)
