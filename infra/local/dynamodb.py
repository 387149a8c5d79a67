"""moto's server with a DynamoDB that keeps what AWS promises to several writers at once.

moto 5.2.5 copies the whole table for every action of a transaction and, when a condition fails, puts the copy back:
slow in a table of thousands, and whatever others wrote meanwhile is lost. Here a transaction checks every condition
first and then writes, touching only its own items, and each call to the table is whole: one at a time. And a query
looks at its own partition, where moto sorts the whole table for each.
"""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import (
    ConditionalCheckFailed,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.server import main

MOST_ACTIONS = 100
WHOLE = ("put_item", "update_item", "delete_item", "get_item", "query", "scan", "transact_write_items")

_INDEX_NAME = 6  # its place after the hash key in what `DynamoDBBackend.query` passes on
_calls = RLock()

type Action = dict[str, Any]


def transact_write_items(backend: DynamoDBBackend, transact_items: list[Action]) -> None:
    """Write all of a transaction's items, or none if one of its conditions fails; other items are not touched.

    Raises:
        TransactionCanceledException: with a reason for each action, in their order.
    """
    if len(transact_items) > MOST_ACTIONS:
        raise TooManyTransactionsException
    if any(len(action) != 1 for action in transact_items):
        raise TransactWriteSingleOpException
    actions = [next(iter(action.items())) for action in transact_items]
    keys = [(operation["TableName"], _key(backend, kind, operation)) for kind, operation in actions]
    if len({(table, str(sorted(key.items()))) for table, key in keys}) < len(keys):
        raise MultipleTransactionsException
    reasons = [
        _failed_condition(backend, *place, operation) for place, (_, operation) in zip(keys, actions, strict=True)
    ]
    if any(code for code, _, _ in reasons):
        raise TransactionCanceledException(reasons)
    for (table, key), (kind, operation) in zip(keys, actions, strict=True):
        names, values = operation.get("ExpressionAttributeNames"), operation.get("ExpressionAttributeValues")
        if kind == "Put":
            backend.put_item(table, operation["Item"])
        elif kind == "Delete":
            backend.delete_item(table, key)
        elif kind == "Update":
            backend.update_item(table, key, operation["UpdateExpression"], names or {}, values or {})


def _key(backend: DynamoDBBackend, kind: str, operation: Action) -> dict[str, Any]:
    if kind != "Put":
        key: dict[str, Any] = operation["Key"]
        return key
    table = backend.get_table(operation["TableName"])
    return {name: operation["Item"][name] for name in (table.hash_key_attr, table.range_key_attr) if name is not None}


def _failed_condition(
    backend: DynamoDBBackend, table: str, key: dict[str, Any], operation: Action
) -> tuple[str | None, str | None, Any]:
    condition = operation.get("ConditionExpression")
    if condition is None:
        return None, None, None
    names, values = operation.get("ExpressionAttributeNames"), operation.get("ExpressionAttributeValues")
    current = backend.get_item(table, key)
    if get_filter_expression(condition, names, values).expr(current):
        return None, None, None
    shown = None
    if current is not None and operation.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
        shown = current.to_json()["Attributes"]
    return "ConditionalCheckFailed", str(ConditionalCheckFailed().message), shown


def _of_one_partition(query: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Table.query` with all items but those of the partition out of its sight; called under the lock."""

    @wraps(query)
    def narrowed(table: Table, hash_key: Any, *arguments: Any, **named: Any) -> Any:
        index_name = arguments[_INDEX_NAME] if len(arguments) > _INDEX_NAME else named.get("index_name")
        if index_name is None and hash_key is not None and table.range_key_attr is not None:
            inside = list(table.items[hash_key].values()) if hash_key in table.items else []
            vars(table)["all_items"] = lambda: inside
        try:
            return query(table, hash_key, *arguments, **named)
        finally:
            vars(table).pop("all_items", None)

    return narrowed


def _whole(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def one_at_a_time(*arguments: Any, **named: Any) -> Any:
        with _calls:
            return call(*arguments, **named)

    return one_at_a_time


def keep_promises() -> None:
    """Make moto's DynamoDB of this process keep them."""
    setattr(DynamoDBBackend, "transact_write_items", transact_write_items)  # noqa: B010 - a method is not assigned to
    setattr(Table, "query", _of_one_partition(Table.query))  # noqa: B010
    for name in WHOLE:
        setattr(DynamoDBBackend, name, _whole(getattr(DynamoDBBackend, name)))


if __name__ == "__main__":
    keep_promises()
    main()
