"""Model files and pointers in S3."""

from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import ClientError

from beckon.artefact.model import MANIFEST, Pointer

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
        prefix = f"models/{shop}/"
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        keys = [one["Key"].removeprefix(prefix).split("/") for page in pages for one in page.get("Contents", ())]
        return sorted((parts[0] for parts in keys if parts[1:] == [MANIFEST]), reverse=True)


def _code(fault: ClientError) -> str:
    return fault.response["Error"]["Code"]
