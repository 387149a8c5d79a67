"""A record of the table's stream to a typed row of a dataset and its place; what is no row becomes a rejection."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from beckon.lake.schema import DATASETS, Dataset
from beckon.values import Refused, day, shop_id

PREFIXES = {"E#": "events", "V#": "events", "X#": "exposures", "O#": "outcomes", "R#": "rejected"}
POISON = "poison-record"
PAYLOAD_BYTES = 8 * 1024
NO_SHOP = "_unknown"  # no shop can have this name

type Row = dict[str, Any]
type Check = Callable[[Any], bool]


class Poison(ValueError):
    """A stream record that is no row of any dataset, and never will be."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A row, the dataset, shop and date it belongs to, and its sequence number on the stream."""

    dataset: str
    shop: str
    dt: str
    row: Row
    sequence: int

    @property
    def is_poison(self) -> bool:
        """Return whether the record was no row, and this is its rejection."""
        return self.dataset == "rejected" and self.row["reason"] == POISON


def placed(record: Mapping[str, Any]) -> Placed | None:
    """Return a stream record's row and place, a poison record's rejection, or None for what the lake does not hold.

    dt is the day of arrival: the record's own received time, else when the stream took it (outcomes of late events).
    """
    change = _object(record.get("dynamodb"))
    image = _object(change.get("NewImage"))
    keys = _object(change.get("Keys")) or image
    partition, sort = _text(keys, "PK") or "", _text(keys, "SK") or ""
    dataset = PREFIXES.get(sort[:2])
    if record.get("eventName") not in ("INSERT", None) or dataset is None:
        return None
    created, sequence = _milliseconds(change.get("ApproximateCreationDateTime")), _whole(change.get("SequenceNumber"))
    body, shop = _text(image, "body"), partition.partition("#")[0]
    try:
        row = _row(body, _shop(shop), DATASETS[dataset])
        arrived = row.get("received_ts") or (row["ts"] if dataset == "exposures" else created or row["ts"])
        return Placed(dataset, shop, _day(arrived), row, sequence)
    except Poison as poison:
        return _rejection(partition, sort, body or "", created=created, sequence=sequence, detail=str(poison))


def _row(body: str | None, shop: str, dataset: Dataset) -> Row:
    record = _record(body, shop)
    if "properties" in record:
        if not isinstance(record["properties"], dict):
            raise Poison("properties has the wrong type")
        record["properties"] = orjson.dumps(record["properties"], option=orjson.OPT_SORT_KEYS).decode()
    row: Row = {}
    for name, fits in _CHECKS[dataset.name]:
        value = record.get(name)
        if value is None:
            if name in dataset.required:
                raise Poison(f"{name} is missing")
        elif not fits(value):
            raise Poison(f"{name} has the wrong type")
        else:
            row[name] = value
    return row


def _record(body: str | None, shop: str) -> Row:
    if body is None:
        raise Poison("the record has no body")
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise Poison(f"the body is not JSON: {fault}") from None
    if not isinstance(record, dict):
        raise Poison("the body is not an object")
    if record.get("shop") != shop:
        raise Poison("the body names another shop than the partition")
    return record


def _rejection(partition: str, sort: str, body: str, *, created: int, sequence: int, detail: str) -> Placed:
    row = {
        "digest": hashlib.sha256(f"{partition} {sort} {body}".encode("utf-8", "surrogatepass")).hexdigest()[:32],
        "reason": POISON,
        "detail": detail,
        "payload": body.encode("utf-8", "replace")[:PAYLOAD_BYTES].decode("utf-8", "ignore"),
        "received_ts": created,
        "index": 0,
    }
    try:
        shop = _shop(partition.partition("#")[0])
    except Poison:
        shop = NO_SHOP
    return Placed("rejected", shop, day(created), row, sequence)


def _shop(text: str) -> str:
    try:
        return shop_id(text)
    except Refused:
        raise Poison("the partition names no shop") from None


def _day(ts: int) -> str:
    try:
        return day(ts)
    except (ValueError, OverflowError, OSError):
        raise Poison(f"{ts} is no time") from None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(image: Mapping[str, Any], name: str) -> str | None:
    value = _object(image.get(name)).get("S")
    return value if isinstance(value, str) else None


def _milliseconds(seconds: Any) -> int:
    return int(seconds * 1000) if isinstance(seconds, int | float) else 0


def _whole(text: Any) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else 0


def _check(kind: pa.DataType) -> Check:
    """Return what tells whether a JSON value can be of an Arrow type; arrays are built without a second look."""
    if pa.types.is_string(kind):
        return lambda value: isinstance(value, str)
    if pa.types.is_integer(kind):
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if pa.types.is_floating(kind):
        return lambda value: isinstance(value, float) or (type(value) is int and abs(value) <= 2**53)
    if pa.types.is_list(kind):
        inner = _check(kind.value_type)
        return lambda value: isinstance(value, list) and all(inner(one) for one in value)
    parts = [(field.name, _check(field.type)) for field in kind]
    return lambda value: (
        isinstance(value, dict) and all(value.get(name) is None or fits(value[name]) for name, fits in parts)
    )


_CHECKS: Mapping[str, list[tuple[str, Check]]] = {
    dataset.name: [(field.name, _check(field.type)) for field in dataset.schema] for dataset in DATASETS.values()
}
