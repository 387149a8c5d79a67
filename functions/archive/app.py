"""archive: a batch of the table's stream in, Parquet objects out. Safe to run twice."""

from dataclasses import asdict
from functools import cache
from typing import Any

from beckon.aws.log import canonical_line
from beckon.aws.wiring.archive import archive
from beckon.lake.archive import Archive


@cache
def service() -> Archive:
    """Built from the environment on first use, then kept for the container's life."""
    return archive()


def handler(event: dict[str, Any], context: Any) -> dict[str, list[Any]]:
    """Return that no record failed: what is no row was kept as a rejection, and a fault of S3 raises for them all."""
    records = event["Records"]
    with canonical_line("archive", context.aws_request_id, records=len(records)) as line:
        line.update(asdict(service().take(records)))
        return {"batchItemFailures": []}
