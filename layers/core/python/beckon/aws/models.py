"""Model files and pointers in S3."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import ClientError

from beckon.artefact.model import MANIFEST, Pointer
from beckon.artefact.ports import Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CURRENT = "current.json"
_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class S3ModelStore:
    """The adapter of `artefact.ports.ModelStore`: `models/<shop>/<model id>/…` and `models/<shop>/current.json`.

    Raises:
        ClientError: every fault of S3 but a missing object and a lost race for the pointer.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def pointer(self, shop: str, known_etag: str | None = None) -> Pointer | None:
        """Return the pointer, by a conditional read if its etag is known."""
        condition: Any = {} if known_etag is None else {"IfNoneMatch": known_etag}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=f"models/{shop}/{_CURRENT}", **condition)
        except ClientError as fault:
            if _code(fault) in {"NoSuchKey", "404", "NotModified", "304"}:
                return None
            raise
        record = orjson.loads(answer["Body"].read())
        return Pointer(
            model_id=record["model_id"],
            moved=record["moved"],
            previous=record.get("previous"),
            pinned=record.get("pinned", False),
            etag=answer["ETag"],
        )

    def move(self, shop: str, pointer: Pointer, expected_etag: str | None) -> bool:
        """Write the pointer, on condition that it is as it was when it was read."""
        record = {
            "model_id": pointer.model_id,
            "moved": pointer.moved,
            "previous": pointer.previous,
            "pinned": pointer.pinned,
        }
        condition: Any = {"IfNoneMatch": "*"} if expected_etag is None else {"IfMatch": expected_etag}
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"models/{shop}/{_CURRENT}",
                Body=orjson.dumps(record),
                ContentType="application/json",
                **condition,
            )
        except ClientError as fault:
            if _code(fault) in _LOST or (expected_etag is not None and _code(fault) in {"NoSuchKey", "404"}):
                return False
            raise
        return True

    def read(self, shop: str, model_id: str, name: str) -> bytes:
        """Return one file of a model."""
        key = f"models/{shop}/{model_id}/{name}"
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as fault:
            if _code(fault) in {"NoSuchKey", "404"}:
                raise FileNotFoundError(key) from None
            raise

    def write(self, shop: str, model_id: str, name: str, content: bytes) -> None:
        """Write one file of a model."""
        self._client.put_object(Bucket=self._bucket, Key=f"models/{shop}/{model_id}/{name}", Body=content)

    def models(self, shop: str) -> list[str]:
        """Return the ids of models with a manifest, from a listing of the shop's files."""
        return sorted((one.model_id for one in self.files(shop) if one.name == MANIFEST), reverse=True)

    def files(self, shop: str) -> Iterator[Stored]:
        """Yield every file, from a listing."""
        prefix = f"models/{shop}/"
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for one in page.get("Contents", ()):
                model_id, _, name = one["Key"].removeprefix(prefix).partition("/")
                if name:
                    yield Stored(model_id, name, int(one["LastModified"].timestamp() * 1000))

    def delete(self, shop: str, model_id: str, name: str) -> None:
        """Remove one file."""
        self._client.delete_object(Bucket=self._bucket, Key=f"models/{shop}/{model_id}/{name}")


def _code(fault: ClientError) -> str:
    return fault.response["Error"]["Code"]
