"""What the stack really holds, read from its own table and buckets and not from what Beckon says of itself."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from infra.demo.client import Failed
from infra.local.resources import client

SHOP = "default"


@dataclass(frozen=True, slots=True)
class Stored:
    """How much of a dataset the lake holds: rows, objects, bytes."""

    rows: int
    files: int
    bytes: int


class Evidence:
    """A shop's part of a local stack's table, lake and models. `environment` is what `build/local/env` says.

    Raises Failed if the environment lacks a name.
    """

    def __init__(self, environment: Mapping[str, str], shop: str = SHOP) -> None:
        self._shop = shop
        try:
            endpoint = environment["AWS_ENDPOINT_URL"]
            self._table = environment["BECKON_TABLE"]
            self._lake, self._models = environment["BECKON_LAKE_BUCKET"], environment["BECKON_MODEL_BUCKET"]
        except KeyError as missing:
            raise Failed(f"{missing} is not set; `set -a; . build/local/env` sets what a running stack says") from None
        self._dynamodb, self._s3 = client("dynamodb", endpoint), client("s3", endpoint)

    def records(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the bodies of the shop's records whose sort key has the prefix: `O#` outcomes, `X#` exposures."""
        scan = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="begins_with(PK, :shop) AND begins_with(SK, :prefix)",
            ExpressionAttributeValues={":shop": {"S": f"{self._shop}#"}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
        )
        for page in scan:
            for item in page["Items"]:
                yield json.loads(item["body"]["S"])

    def stored(self, dataset: str) -> Stored:
        """Return how much of a dataset the lake holds, doubles counted twice."""
        rows = files = size = 0
        for key, content in self._objects(f"lake/{dataset}/shop={self._shop}/"):
            if key.endswith(".parquet"):
                rows, files, size = (
                    rows + pq.ParquetFile(content).metadata.num_rows,
                    files + 1,
                    size + content.getbuffer().nbytes,
                )
        return Stored(rows, files, size)

    def distinct(self, dataset: str, column: str) -> set[Any]:
        """Return the different values of a column of the lake, None left out."""
        found: set[Any] = set()
        for key, content in self._objects(f"lake/{dataset}/shop={self._shop}/"):
            if key.endswith(".parquet"):
                found.update(pq.ParquetFile(content).read(columns=[column]).column(column).to_pylist())
        return found - {None}

    def manifest(self) -> dict[str, Any]:
        """Return the manifest of the model that serves. Raises Failed if none does."""
        for _, content in self._objects(f"models/{self._shop}/current.json"):
            model_id = json.load(content)["model_id"]
            key = f"models/{self._shop}/{model_id}/manifest.json"
            found: dict[str, Any] = json.load(self._s3.get_object(Bucket=self._models, Key=key)["Body"])
            return found
        raise Failed("no model serves: retrain made none, or its gate let none pass")

    def _objects(self, prefix: str) -> Iterator[tuple[str, io.BytesIO]]:
        bucket = self._models if prefix.startswith("models/") else self._lake
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                content = self._s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                yield entry["Key"], io.BytesIO(content)
