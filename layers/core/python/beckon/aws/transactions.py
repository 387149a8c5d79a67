"""Writes of several records that happen together or not at all."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_ACTIONS = 100

# Reasons that pass by themselves; boto3 does not retry a cancelled transaction.
PASSING_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_WAITS_SECONDS = (0.02, 0.1, 0.4)


def transact(client: "DynamoDBClient", actions: Sequence[Any]) -> list[int]:
    """Apply all of `actions`, or none; return the positions of those whose condition failed, none if applied.

    Raises:
        ClientError: a conflict with another writer or a throttled table, after some tries; every other fault at once.
    """
    for wait in (*_WAITS_SECONDS, None):
        try:
            client.transact_write_items(TransactItems=actions)
        except client.exceptions.TransactionCanceledException as fault:
            reasons = [reason.get("Code", "None") for reason in fault.response["CancellationReasons"]]
            failed = [position for position, code in enumerate(reasons) if code == "ConditionalCheckFailed"]
            if failed:
                return failed
            if wait is None or not set(reasons) & PASSING_REASONS:
                raise
            time.sleep(wait)
        else:
            return []
    raise AssertionError("the last try returns or raises")
