"""Outcomes in the table: put once, and counted in the same transaction."""

from typing import TYPE_CHECKING, Any

from beckon.aws.table import at, counter_key, order_key, outcome_key, row
from beckon.aws.transactions import transact
from beckon.conversions.counters import increments
from beckon.conversions.model import ORDER, Outcome

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoOutcomes:
    """The adapter of `conversions.ports.Outcomes`.

    An order's outcome also puts a mark under the order itself: its browser and its server may report it of one person
    under two names, and so in two partitions.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def record(self, outcome: Outcome, expires: int) -> bool:
        """Put the outcome if absent and add to its counters; a fault leaves neither."""
        actions = [self._put_absent(row(outcome_key(outcome), outcome.to_record(), expires))]
        if outcome.source.startswith(ORDER):
            actions.append(self._put_absent(row(order_key(outcome), {"user_key": outcome.user_key}, expires)))
        return not transact(self._client, actions + self._additions(outcome))

    def _put_absent(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(PK)"}}

    def _additions(self, outcome: Outcome) -> list[dict[str, Any]]:
        return [
            {
                "Update": {
                    "TableName": self._table,
                    "Key": at(counter_key(outcome.shop, outcome.user_key, name)),
                    "UpdateExpression": "ADD " + ", ".join(f"#{i} :{i}" for i in range(len(amounts))),
                    "ExpressionAttributeNames": {f"#{i}": attribute for i, attribute in enumerate(amounts)},
                    "ExpressionAttributeValues": {f":{i}": {"N": f"{n:f}"} for i, n in enumerate(amounts.values())},
                }
            }
            for name, amounts in increments(outcome).items()
        ]
