"""Leases in the table: one run at a time."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from beckon.aws.table import at, lease_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoLeases:
    """The adapter of `learning.ports.Leases`: a row that is put only if there is none, or the one there has ended."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def take(self, shop: str, owner: str, now: int, until: int) -> bool:
        """Put the lease by a conditional write; the owner itself may take it again, as a retried run does."""
        row = at(lease_key(shop)) | {
            "owner": {"S": owner},
            "until": {"N": str(until)},
            "ttl": {"N": str(until // 1000)},
        }
        try:
            self._client.put_item(
                TableName=self._table,
                Item=row,
                ConditionExpression="attribute_not_exists(PK) OR #until < :now OR #owner = :owner",
                ExpressionAttributeNames={"#until": "until", "#owner": "owner"},
                ExpressionAttributeValues={":now": {"N": str(now)}, ":owner": {"S": owner}},
            )
        except ClientError as fault:
            return _refused(fault)
        return True

    def release(self, shop: str, owner: str) -> None:
        """Delete the lease if it is still the owner's."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=at(lease_key(shop)),
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": owner}},
            )
        except ClientError as fault:
            _refused(fault)


def _refused(fault: ClientError) -> bool:
    """Return False for a condition that did not hold; raise any other fault."""
    if fault.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise fault
    return False
