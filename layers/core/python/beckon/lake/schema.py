"""The lake's datasets: typed columns, keys, order and object paths.

All times are UTC milliseconds as int64, the unit of every other place in Beckon. The shop is in the path, not a column.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

ROOT = "lake"
QUARANTINE = "lake/quarantine"
VERSION = "1"
COMPACT_PREFIX = "compact-"


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(*one) for one in fields], metadata={"beckon.schema": VERSION})


EVENTS = _schema(
    ("message_id", pa.string()),
    ("type", pa.string()),
    ("user_key", pa.string()),
    ("ts", pa.int64()),
    ("original_ts", pa.int64()),
    ("received_ts", pa.int64()),
    ("name", pa.string()),
    ("anonymous_key", pa.string()),
    ("item", pa.string()),
    ("value", pa.float64()),
    ("currency", pa.string()),
    ("quantity", pa.int64()),
    ("order_id", pa.string()),
    ("rec_id", pa.string()),
    ("page", pa.string()),
    ("referrer", pa.string()),
    ("locale", pa.string()),
    ("device", pa.string()),
    ("properties", pa.string()),  # JSON text
)

EXPOSURES = _schema(
    ("rec_id", pa.string()),
    ("user_key", pa.string()),
    ("ts", pa.int64()),
    ("surface", pa.string()),
    ("policy", pa.string()),
    ("model_id", pa.string()),
    ("experiment", pa.string()),
    ("variant", pa.string()),
    ("assignment_probability", pa.float64()),
    ("history", pa.int64()),
    (
        "slots",
        pa.list_(
            pa.struct(
                [
                    pa.field("item", pa.string()),
                    pa.field("position", pa.int64()),
                    pa.field("score", pa.float64()),
                    pa.field("final_score", pa.float64()),
                    pa.field("propensity", pa.float64()),
                ]
            )
        ),
    ),
)

OUTCOMES = _schema(
    ("source", pa.string()),
    ("item", pa.string()),
    ("kind", pa.string()),
    ("user_key", pa.string()),
    ("ts", pa.int64()),
    ("value", pa.float64()),
    ("currency", pa.string()),
    ("quantity", pa.int64()),
    (
        "credits",
        pa.list_(
            pa.struct(
                [
                    pa.field("rec_id", pa.string()),
                    pa.field("share", pa.float64()),
                    pa.field("attribution", pa.string()),
                    pa.field("surface", pa.string()),
                    pa.field("policy", pa.string()),
                    pa.field("model_id", pa.string()),
                    pa.field("variant", pa.string()),
                ]
            )
        ),
    ),
)

REJECTED = _schema(
    ("digest", pa.string()),
    ("reason", pa.string()),
    ("detail", pa.string()),
    ("field", pa.string()),
    ("payload", pa.string()),
    ("received_ts", pa.int64()),
    ("index", pa.int64()),
    ("message_id", pa.string()),
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of row: its columns, what makes a row the same row, which of two such came first, and its order.

    `required` columns are never null; a record without one is no row, a file without one is corrupt.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    first_by: str
    order: tuple[str, ...]
    required: tuple[str, ...]


DATASETS: Mapping[str, Dataset] = {
    one.name: one
    for one in (
        Dataset(
            "events",
            EVENTS,
            key=("message_id",),
            first_by="received_ts",
            order=("user_key", "ts", "message_id"),
            required=("message_id", "type", "user_key", "ts", "received_ts"),
        ),
        Dataset(
            "exposures",
            EXPOSURES,
            key=("rec_id",),
            first_by="ts",
            order=("user_key", "ts", "rec_id"),
            required=("rec_id", "user_key", "surface", "policy", "ts", "slots"),
        ),
        Dataset(
            "outcomes",
            OUTCOMES,
            key=("user_key", "source", "item", "kind"),
            first_by="ts",
            order=("user_key", "ts", "source", "item", "kind"),
            required=("user_key", "source", "item", "kind", "ts", "credits"),
        ),
        Dataset(
            "rejected",
            REJECTED,
            key=("digest",),
            first_by="received_ts",
            order=("received_ts", "digest"),
            required=("digest", "reason", "received_ts"),
        ),
    )
}


def shop_prefix(dataset: str, shop: str) -> str:
    """Return what every key of a shop's dataset starts with."""
    return f"{ROOT}/{dataset}/shop={shop}/"


def object_key(dataset: str, shop: str, dt: str, name: str) -> str:
    """Return `lake/<dataset>/shop=<shop>/dt=<dt>/<name>.parquet`."""
    return f"{shop_prefix(dataset, shop)}dt={dt}/{name}.parquet"


def partition_of(key: str) -> str:
    """Return the part of an object's key that names its dataset, shop and date."""
    return key.rpartition("/")[0]


def is_compact(key: str) -> bool:
    """Return whether compaction wrote the object."""
    return key.rpartition("/")[2].startswith(COMPACT_PREFIX)


def shop_of(key: str) -> str | None:
    """Return the shop an object's key names."""
    for part in key.split("/"):
        if part.startswith("shop="):
            return part.removeprefix("shop=")
    return None


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `table` with exactly the columns of `schema`: absent ones null, others dropped, types cast safely.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError: a column cannot be read as its type.
    """
    columns: list[Any] = []
    for field in schema:
        place = table.schema.get_field_index(field.name)
        columns.append(pa.nulls(len(table), field.type) if place < 0 else table.column(place).cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)
