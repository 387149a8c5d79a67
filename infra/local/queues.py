"""An SQS queue read as a Lambda event source mapping reads it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra.local.clock import Clock
from infra.local.filters import Filters
from infra.local.parts import Source
from infra.local.resources import client
from infra.local.runtime import Functions
from infra.local.template import REGION
from infra.local.worker import Answer

_POLL_S = 0.5
_PAGE = 10  # SQS gives no more at once

type Message = Mapping[str, Any]


class Queue:
    """Feeds one function from one queue; what fails is seen again when its visibility time-out ends."""

    def __init__(self, source: Source, functions: Functions, endpoint: str, clock: Clock) -> None:
        self._source = source
        self._functions = functions
        self._sqs = client("sqs", endpoint)
        self._clock = clock
        self._filters = Filters(source.patterns)
        self._url = ""

    async def run(self) -> None:
        """Feed the function for ever."""
        self._url = await asyncio.to_thread(self._find)
        while True:
            messages = await self._gather()
            if messages:
                await self._process(messages)
            else:
                await self._clock.pause(_POLL_S)

    async def finished(self) -> None:
        """Return when the queue is empty, messages in flight included."""
        while not self._url or await asyncio.to_thread(self._count) > 0:
            await self._clock.pause(_POLL_S)

    def _find(self) -> str:
        url: str = self._sqs.get_queue_url(QueueName=self._source.arn.rsplit(":", 1)[1])["QueueUrl"]
        return url

    def _count(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    async def _gather(self) -> list[Message]:
        """Return a batch: at once without a window, else when it is full or the window is over."""
        batch: list[Message] = []
        opened = self._clock.now()
        while len(batch) < self._source.batch_size:
            page = await asyncio.to_thread(self._receive, min(_PAGE, self._source.batch_size - len(batch)))
            batch += page
            if page:
                continue
            if not batch or self._clock.is_hurried or self._clock.now() >= opened + self._source.window_s:
                break
            await self._clock.pause(_POLL_S)
        return batch

    def _receive(self, most: int) -> list[Message]:
        page = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=most, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        found: list[Message] = page.get("Messages", [])
        return found

    async def _process(self, messages: Sequence[Message]) -> None:
        wanted = [message for message in messages if self._filters.passes(_parsed(self._record(message)))]
        failed: set[str] = set()
        if wanted:
            payload = json.dumps({"Records": [self._record(message) for message in wanted]}).encode()
            answer = await self._functions.invoke(self._source.function, payload)
            failed = self._failed([message["MessageId"] for message in wanted], answer)
        await asyncio.to_thread(self._settle, messages, failed)

    def _failed(self, ids: Sequence[str], answer: Answer) -> set[str]:
        if answer.error is not None:
            return set(ids)
        if not self._source.is_partial:
            return set()
        report = answer.body
        failures = (report.get("batchItemFailures") if isinstance(report, dict) else None) or []
        named = {failure.get("itemIdentifier") for failure in failures}
        return named if named.issubset(ids) else set(ids)

    def _settle(self, messages: Sequence[Message], failed: set[str]) -> None:
        """Delete what is done with; while the stack is drained, what failed is visible again at once."""
        for message in messages:
            handle = message["ReceiptHandle"]
            if message["MessageId"] not in failed:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=handle)
            elif self._clock.is_hurried:
                self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=handle, VisibilityTimeout=0)

    def _record(self, message: Message) -> dict[str, Any]:
        attributes = message.get("MessageAttributes", {})
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: {"stringValue": each.get("StringValue"), "dataType": each["DataType"]}
                for name, each in attributes.items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._source.arn,
            "awsRegion": REGION,
        }


def _parsed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as filters see it: a body that is JSON is looked into."""
    try:
        return record | {"body": json.loads(record["body"])}
    except ValueError:
        return record
