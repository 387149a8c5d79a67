"""A DynamoDB stream read as a Lambda event source mapping reads it: batches, retries, bisection, kept failures."""

import asyncio
import base64
import json
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from infra.local.clock import Clock
from infra.local.destinations import deliver, timestamp
from infra.local.filters import Filters
from infra.local.parts import Source
from infra.local.resources import client
from infra.local.runtime import MAX_PAYLOAD_BYTES, Functions
from infra.local.worker import Answer

# Lambda looks four times a second; twice does for one person, and moto keeps an iterator for every look.
_POLL_S = 0.5
_PAGE = 1000
_LONGEST_BACKOFF_S = 60.0
_HURRIED_RETRY_S = 0.2

type Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Batch:
    records: Sequence[Record]
    retries: int = 0
    tries: int = 0
    answer: Answer | None = None  # to the last try


class Stream:
    """Feeds one function from one stream, in order, each record until it is done with or kept."""

    def __init__(self, source: Source, functions: Functions, endpoint: str, clock: Clock) -> None:
        self._source = source
        self._functions = functions
        self._endpoint = endpoint
        self._clock = clock
        self._filters = Filters(source.patterns)
        self._waiting: deque[tuple[Record, int]] = deque()  # records that passed, with their bytes
        self._bytes = 0
        self._iterator = ""
        self._shard = ""
        self._looks = 0
        self._looked_in_vain = 0
        self._idle = asyncio.Condition()

    async def run(self) -> None:
        """Feed the function for ever."""
        await asyncio.to_thread(self._open)
        while True:
            await self._fill()
            await self._process(_Batch(self._take()))

    async def finished(self) -> None:
        """Return when the function is done with everything that was in the stream at the time of the call."""
        before = self._looks
        async with self._idle:
            await self._idle.wait_for(lambda: self._looked_in_vain > before)

    def _open(self) -> None:
        streams = client("dynamodbstreams", self._endpoint)
        shards = streams.describe_stream(StreamArn=self._source.arn)["StreamDescription"]["Shards"]
        self._shard = shards[0]["ShardId"]  # moto has one
        start = "TRIM_HORIZON" if self._source.from_start else "LATEST"
        found = streams.get_shard_iterator(StreamArn=self._source.arn, ShardId=self._shard, ShardIteratorType=start)
        self._iterator = found["ShardIterator"]

    async def _fill(self) -> None:
        """Return when a batch is due: it is full, or its window is over."""
        opened: float | None = None
        while not self._is_full():
            read = await self._look()
            now = self._clock.now()
            if opened is None and self._waiting:
                opened = now
            if read:
                continue
            if opened is not None and (now >= opened + self._source.window_s or self._clock.is_hurried):
                return
            await self._clock.pause(_POLL_S)

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._source.batch_size or self._bytes >= MAX_PAYLOAD_BYTES

    async def _look(self) -> int:
        """Read what is new; return how many records that were."""
        self._looks += 1
        look = self._looks
        records = await asyncio.to_thread(self._read)
        for record in records:
            if self._filters.passes(record):
                size = len(json.dumps(record))
                self._waiting.append((record, size))
                self._bytes += size
        if not records and not self._waiting:
            async with self._idle:
                self._looked_in_vain = look
                self._idle.notify_all()
        return len(records)

    def _read(self) -> list[Record]:
        page = client("dynamodbstreams", self._endpoint).get_records(ShardIterator=self._iterator, Limit=_PAGE)
        self._iterator = page["NextShardIterator"]
        return [{**_plain(record), "eventSourceARN": self._source.arn} for record in page["Records"]]

    def _take(self) -> list[Record]:
        """Remove the next batch from what waits: no more than Lambda's payload holds."""
        batch: list[Record] = []
        size = 0
        while self._waiting and len(batch) < self._source.batch_size:
            record, record_bytes = self._waiting[0]
            if batch and size + record_bytes > MAX_PAYLOAD_BYTES:
                break
            self._waiting.popleft()
            batch.append(record)
            size += record_bytes
        self._bytes -= size
        return batch

    async def _process(self, whole: _Batch) -> None:
        todo = [whole]
        while todo:
            batch = await self._without_expired(todo.pop())
            if not batch.records:
                continue
            answer = await self._functions.invoke(self._source.function, _payload(batch.records))
            batch = replace(batch, tries=batch.tries + 1, answer=answer)
            failed = self._first_failed(batch.records, answer)
            if failed is None:
                continue
            if self._source.is_bisected and len(batch.records) > 1 and (failed or answer.error):
                # Splitting uses up no retry: at the failed record if it was named, else in the middle.
                middle = failed or len(batch.records) // 2
                rest = [replace(batch, records=batch.records[middle:])]
                todo += rest if failed else [*rest, replace(batch, records=batch.records[:middle])]
            elif self._source.retries is not None and batch.retries >= self._source.retries:
                await self._keep(batch, "RetryAttemptsExhausted")
                continue
            else:
                todo.append(replace(batch, records=batch.records[failed:], retries=batch.retries + 1))
            await self._clock.wait(min(2.0**batch.retries, _LONGEST_BACKOFF_S), at_least=_HURRIED_RETRY_S)

    def _first_failed(self, records: Sequence[Record], answer: Answer) -> int | None:
        """Return the place of the first record to deliver again, None if there is none.

        A report that names a record which was not in the batch, or no record, fails the whole batch, as in Lambda.
        """
        if answer.error is not None:
            return 0
        if not self._source.is_partial:
            return None
        report = answer.body
        failures = (report.get("batchItemFailures") if isinstance(report, dict) else None) or []
        places = {record["dynamodb"]["SequenceNumber"]: place for place, record in enumerate(records)}
        return min((places.get(failure.get("itemIdentifier"), 0) for failure in failures), default=None)

    async def _without_expired(self, batch: _Batch) -> _Batch:
        if self._source.max_age_s is None:
            return batch
        ages = [self._clock.age(record["dynamodb"]["ApproximateCreationDateTime"]) for record in batch.records]
        expired = sum(age > self._source.max_age_s for age in ages)  # the first ones: a stream is in order of time
        if expired:
            await self._keep(replace(batch, records=batch.records[:expired]), "RecordAgeExceeded")
        return replace(batch, records=batch.records[expired:])

    async def _keep(self, batch: _Batch, condition: str) -> None:
        """Send a batch that is given up to the source's destination; whole if that is a bucket."""
        if self._source.on_failure is None:
            return
        first, last = batch.records[0]["dynamodb"], batch.records[-1]["dynamodb"]
        error = batch.answer.error if batch.answer else None
        record = {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": self._functions.by_name[self._source.function].arn,
                "condition": condition,
                "approximateInvokeCount": batch.tries,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": error},
            "version": "1.0",
            "timestamp": timestamp(self._clock.now()),
            "DDBStreamBatchInfo": {
                "shardId": self._shard,
                "startSequenceNumber": first["SequenceNumber"],
                "endSequenceNumber": last["SequenceNumber"],
                "approximateArrivalOfFirstRecord": timestamp(first["ApproximateCreationDateTime"]),
                "approximateArrivalOfLastRecord": timestamp(last["ApproximateCreationDateTime"]),
                "batchSize": len(batch.records),
                "streamArn": self._source.arn,
            },
        }
        if self._source.on_failure.split(":")[2] == "s3":
            record["payload"] = _payload(batch.records).decode()
        prefix = f"aws/lambda/{self._source.name}/{self._shard}"
        await asyncio.to_thread(deliver, self._endpoint, self._source.on_failure, record, prefix)


def _payload(records: Sequence[Record]) -> bytes:
    return json.dumps({"Records": records}).encode()


def _plain(value: Any) -> Any:
    """Return what boto3 parsed as Lambda passes it: times in seconds, bytes in base64."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime():
            return value.timestamp()
        case bytes():
            return base64.b64encode(value).decode()
    return value
