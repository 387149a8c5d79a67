"""attribute: a batch from the table's stream in, outcomes and counters out. Safe to run twice."""

from collections import Counter
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from beckon.aws.log import canonical_line
from beckon.aws.stream import event_of
from beckon.aws.wiring.attribute import attribution


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Return the failed sequence numbers; the stream resumes at the lowest of them."""
    with canonical_line("attribute", context.aws_request_id, records=len(event["Records"])) as line:
        service = attribution()
        counts: Counter[str] = Counter(outcomes=0, poison=0)

        def on_record(record: DynamoDBRecord) -> None:
            """Raise for infrastructure faults only, so that only they are retried."""
            found = event_of(record.raw_event)
            counts["poison"] += found is None
            counts["outcomes"] += found is not None and service.handle(found)

        try:
            processor = BatchProcessor(event_type=EventType.DynamoDBStreams)
            answer = process_partial_response(event, on_record, processor, context)
            line["failed"] = len(answer["batchItemFailures"])
            return answer
        finally:
            line.update(counts)
