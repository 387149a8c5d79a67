"""Where Lambda sends what it gives up on, or has done: a queue, a bucket or a topic."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from infra.local.resources import client


def deliver(endpoint: str, arn: str, record: Mapping[str, Any], prefix: str) -> None:
    """Send an invocation record to the destination `arn`; in a bucket its key starts with `prefix`.

    Raises:
        ValueError: a kind of destination that the local stack does not have.
    """
    service = arn.split(":")[2]
    if service not in _SEND:
        raise ValueError(f"the local stack delivers to {', '.join(_SEND)}, not to {arn}")
    _SEND[service](endpoint, arn, json.dumps(record), prefix)


def timestamp(moment: float) -> str:
    """Return a time as Lambda writes it in a record."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"


def _to_queue(endpoint: str, arn: str, body: str, _: str) -> None:
    sqs = client("sqs", endpoint)
    url = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)


def _to_bucket(endpoint: str, arn: str, body: str, prefix: str) -> None:
    moment = time.gmtime()
    name = time.strftime("%Y-%m-%dT%H.%M.%S", moment) + f"-{uuid.uuid4()}"
    key = f"{prefix}/{time.strftime('%Y/%m/%d', moment)}/{name}"
    client("s3", endpoint).put_object(Bucket=arn.rsplit(":", 1)[1], Key=key, Body=body.encode())


def _to_topic(endpoint: str, arn: str, body: str, _: str) -> None:
    client("sns", endpoint).publish(TopicArn=arn, Message=body)


_SEND: dict[str, Callable[[str, str, str, str], None]] = {"sqs": _to_queue, "s3": _to_bucket, "sns": _to_topic}
