"""The lake's objects in S3."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3LakeStore:
    """Whole objects of one bucket. Throttling and every other fault of S3 raise after the client's own retries."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def list(self, prefix: str) -> list[str]:
        """Return every key that starts with `prefix`, sorted."""
        return sorted(self.versions(prefix))

    def versions(self, prefix: str) -> dict[str, str]:
        """Return every key that starts with `prefix`, with its ETag."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return {found["Key"]: found["ETag"] for page in pages for found in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        """Return an object's content. Raises FileNotFoundError if there is none."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as fault:
            if fault.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise FileNotFoundError(key) from None
            raise

    def write(self, key: str, content: bytes) -> None:
        """Put an object, replacing what was there."""
        self._client.put_object(Bucket=self._bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone already is no fault."""
        self._client.delete_object(Bucket=self._bucket, Key=key)
