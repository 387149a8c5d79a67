"""The local stack's mechanics, on small templates and functions of the tests' own."""

import base64
import functools
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.processes import free_port
from infra.local.resources import client
from infra.local.stack import FunctionFailed, LocalStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("local-stack")]

ROOT = Path(__file__).resolve().parents[2]
SPEED = 60  # a minute of the stack is a second

ECHO = """
    import json, os, sys, time
    import boto3

    COUNT = []

    def handler(event, context):
        COUNT.append(event)
        match event.get("do"):
            case "sleep": time.sleep(60)
            case "die": os._exit(7)
            case "raise": raise ValueError("as asked")
            case "huge": return "x" * 7_000_000
            case "count": return len(COUNT)
            case "environment": return dict(os.environ) | {"path": sys.path}
            case "log": print("a line of its own")
            case "invoke":
                answer = boto3.client("lambda").invoke(FunctionName=event["name"], InvocationType=event["type"],
                                                       Payload=json.dumps(event["payload"]))
                return [answer["StatusCode"], answer.get("FunctionError"), answer["Payload"].read().decode()]
        if event.get("rawPath") == "/raise": raise ValueError("as asked")
        if event.get("rawPath") == "/teapot":
            return {"statusCode": 418, "headers": {"X-Pot": "tea", "Access-Control-Allow-Origin": "https://evil"},
                    "cookies": ["a=1", "b=2"], "isBase64Encoded": True, "body": "AP8="}
        if event.get("rawPath") == "/nonsense": return {"statusCode": "tea"}
        return event
"""

# Writes down which records it was given, and does what a record says.
READER = """
    import json, os, time
    import boto3
    from botocore.exceptions import ClientError

    s3, SEEN = boto3.client("s3"), os.environ["SEEN"]

    def first(key):
        try:
            s3.put_object(Bucket=SEEN, Key=f"once/{key}", Body=b"", IfNoneMatch="*")
        except ClientError:
            return False
        return True

    def handler(event, context):
        records = event["Records"]
        s3.put_object(Bucket=SEEN, Key=f"{context.function_name}/{time.time_ns()}", Body=json.dumps(records))
        failures = []
        for record in records:
            if "dynamodb" in record:
                key = record["dynamodb"]["Keys"]["SK"]["S"]
                do, number = record["dynamodb"]["NewImage"]["do"]["S"], record["dynamodb"]["SequenceNumber"]
            else:
                key, do, number = record["messageId"], json.loads(record["body"])["do"], record["messageId"]
            if do == "raise": raise ValueError(key)
            if do == "die once" and first(key): os._exit(9)
            if do == "report once" and first(key): failures.append({"itemIdentifier": number})
            if do == "report": failures.append({"itemIdentifier": number})
        return {"batchItemFailures": failures}
"""

TEMPLATE = """
    Transform: AWS::Serverless-2016-10-31
    Globals:
      Function: { Runtime: python3.13, Handler: app.handler, Timeout: 10 }
    Resources:
      Table:
        Type: AWS::DynamoDB::Table
        Properties:
          BillingMode: PAY_PER_REQUEST
          AttributeDefinitions: [{ AttributeName: PK, AttributeType: S }, { AttributeName: SK, AttributeType: S }]
          KeySchema: [{ AttributeName: PK, KeyType: HASH }, { AttributeName: SK, KeyType: RANGE }]
          StreamSpecification: { StreamViewType: NEW_IMAGE }
      Seen: { Type: AWS::S3::Bucket }
      Failures: { Type: AWS::S3::Bucket }
      DeadLetters: { Type: AWS::SQS::Queue }
      Jobs: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: 120 } }
      Api:
        Type: AWS::Serverless::HttpApi
        Properties:
          CorsConfiguration:
            AllowOrigins: ["https://shop.example"]
            AllowMethods: [GET, POST]
            AllowHeaders: [authorization]
            MaxAge: 600
      Echo:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: functions/echo
          Timeout: 2
          EventInvokeConfig:
            MaximumRetryAttempts: 1
            DestinationConfig: { OnFailure: { Type: SQS, Destination: !GetAtt DeadLetters.Arn } }
          Events:
            One: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: "/things/{id}" } }
            All: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /things/all } }
            Post: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: POST, Path: /things } }
            Any: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/files/{rest+}" } }
            Teapot: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /teapot } }
            Raise: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /raise } }
            Nonsense: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /nonsense } }
      Patient:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: functions/patient
          Environment: { Variables: { SEEN: !Ref Seen } }
          Events:
            Stream:
              Type: DynamoDB
              Properties:
                Stream: !GetAtt Table.StreamArn
                StartingPosition: TRIM_HORIZON
                BatchSize: 1000
                MaximumBatchingWindowInSeconds: 300
                FunctionResponseTypes: [ReportBatchItemFailures]
                BisectBatchOnFunctionError: true
                MaximumRetryAttempts: 1
                DestinationConfig: { OnFailure: { Type: S3, Destination: !GetAtt Failures.Arn } }
                FilterCriteria:
                  Filters:
                    - Pattern: >-
                        {"eventName":["INSERT"],"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"P#"},{"prefix":"Q#"}]}}}}
      Whole:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: functions/whole
          Environment: { Variables: { SEEN: !Ref Seen } }
          Events:
            Stream:
              Type: DynamoDB
              Properties:
                Stream: !GetAtt Table.StreamArn
                StartingPosition: TRIM_HORIZON
                BatchSize: 3
                MaximumBatchingWindowInSeconds: 300
                MaximumRecordAgeInSeconds: 300
                DestinationConfig: { OnFailure: { Type: SQS, Destination: !GetAtt DeadLetters.Arn } }
                FilterCriteria: { Filters: [{ Pattern: '{"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"W#"}]}}}}' }] }
      Jobber:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: functions/jobber
          Environment: { Variables: { SEEN: !Ref Seen } }
          Events:
            Jobs:
              Type: SQS
              Properties: { Queue: !GetAtt Jobs.Arn, FunctionResponseTypes: [ReportBatchItemFailures] }
      Hourly:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: functions/hourly
          Environment: { Variables: { SEEN: !Ref Seen } }
          Events:
            Often: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(5 minutes), Input: '{"Records": []}' } }
    Outputs:
      Table: { Value: !Ref Table }
      Seen: { Value: !Ref Seen }
      Failures: { Value: !Ref Failures }
      DeadLetters: { Value: !Ref DeadLetters }
      Jobs: { Value: !Ref Jobs }
"""


def write_project(folder: Path, template: str, functions: dict[str, str]) -> Path:
    """Write a template and its functions; return the template's path."""
    for name, source in functions.items():
        (folder / "functions" / name).mkdir(parents=True)
        (folder / "functions" / name / "app.py").write_text(textwrap.dedent(source))
    path = folder / "template.yaml"
    path.write_text(textwrap.dedent(template))
    return path


class Lab:
    """A running stack of the test template, and what its functions leave behind."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.names = stack.provisioned.outputs
        endpoint = stack.provisioned.endpoint
        self.dynamodb, self.s3, self.sqs = (client(name, endpoint) for name in ("dynamodb", "s3", "sqs"))

    def put(self, key: str, do: str = "nothing") -> None:
        item = {"PK": {"S": "shop"}, "SK": {"S": key}, "do": {"S": do}, "blob": {"B": b"\x00\xff"}}
        self.dynamodb.put_item(TableName=self.names["Table"], Item=item)

    def batches(self, function: str, prefix: str) -> list[list[str]]:
        """Return the keys with `prefix` of each batch that `function` was given, in order."""
        batches = [
            [key for record in records if (key := record["dynamodb"]["Keys"]["SK"]["S"]).startswith(prefix)]
            for records in self.seen(function)
        ]
        return [batch for batch in batches if batch]

    def seen(self, function: str) -> list[list[dict[str, Any]]]:
        return [json.loads(body) for _, body in self.objects(self.names["Seen"], f"{function}/")]

    def objects(self, bucket: str, prefix: str = "") -> list[tuple[str, bytes]]:
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        keys = sorted(each["Key"] for each in found)
        return [(key, self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]

    def dead_letters(self) -> list[Any]:
        letters = []
        url = self.names["DeadLetters"]
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            letters += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return letters


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    readers = dict.fromkeys(("patient", "whole", "jobber", "hourly"), READER)
    path = write_project(tmp_path_factory.mktemp("lab"), TEMPLATE, {"echo": ECHO, **readers})
    with LocalStack(path, clock_speed=SPEED) as stack:
        yield Lab(stack)


@pytest.fixture
def http(lab: Lab) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=lab.stack.url, timeout=30, trust_env=False) as session:
        yield session


# ── functions ────────────────────────────────────────────────────────────────


def test_a_function_that_takes_too_long_is_killed_and_the_next_call_is_served(lab: Lab) -> None:
    started = time.monotonic()
    with pytest.raises(FunctionFailed, match=r"Task timed out after 2\.00 seconds"):
        lab.stack.invoke("echo", {"do": "sleep"})
    assert time.monotonic() - started < 20
    assert lab.stack.invoke("echo", {"still": "there"}) == {"still": "there"}


def test_a_worker_that_dies_is_an_error_and_the_next_call_is_served(lab: Lab) -> None:
    with pytest.raises(FunctionFailed, match=r"Runtime\.ExitError.*exit status 7"):
        lab.stack.invoke("echo", {"do": "die"})
    assert lab.stack.invoke("echo", {"still": "there"}) == {"still": "there"}


def test_an_exception_carries_its_type_and_message(lab: Lab) -> None:
    with pytest.raises(FunctionFailed, match=r"as asked.*ValueError"):
        lab.stack.invoke("echo", {"do": "raise"})


def test_an_answer_larger_than_lambda_allows_is_an_error(lab: Lab) -> None:
    with pytest.raises(FunctionFailed, match="ResponseSizeTooLarge"):
        lab.stack.invoke("echo", {"do": "huge"})


def test_a_function_cannot_reach_aws_whatever_the_caller_s_environment_says(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    lab.stack.run("echo")  # recycles the workers, so that the next one starts under this environment
    environment = lab.stack.invoke("echo", {"do": "environment"})
    assert environment["AWS_ENDPOINT_URL"] == lab.stack.provisioned.endpoint
    assert environment["AWS_ACCESS_KEY_ID"] == "local"
    assert "AWS_PROFILE" not in environment
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "echo"
    assert environment["path"][0].endswith("functions/echo")


def test_what_a_function_prints_is_in_its_log(lab: Lab) -> None:
    lab.stack.invoke("echo", {"do": "log"})
    assert "a line of its own\n" in (lab.stack.logs / "echo.log").read_text()


def test_running_a_function_lets_every_function_start_afresh(lab: Lab) -> None:
    lab.stack.invoke("echo", {})
    assert lab.stack.invoke("echo", {"do": "count"}) > 1
    lab.stack.run("hourly")
    assert lab.stack.invoke("echo", {"do": "count"}) == 1


def test_boto3_inside_a_function_invokes_other_functions(lab: Lab) -> None:
    call = {"do": "invoke", "type": "RequestResponse", "name": "echo"}
    assert lab.stack.invoke("echo", call | {"payload": {"a": 1}}) == [200, None, '{"a": 1}']
    status, error, payload = lab.stack.invoke("echo", call | {"payload": {"do": "raise"}})
    assert (status, error, json.loads(payload)["errorType"]) == (200, "Unhandled", "ValueError")
    with pytest.raises(FunctionFailed, match="ResourceNotFoundException"):
        lab.stack.invoke("echo", call | {"name": "nobody", "payload": {}})


def test_an_asynchronous_invocation_that_keeps_failing_ends_in_its_queue_whole(lab: Lab) -> None:
    lab.dead_letters()
    failing = {"do": "raise", "why": "x" * 1000}
    call = {"do": "invoke", "type": "Event", "name": "echo", "payload": failing}
    assert lab.stack.invoke("echo", call)[0] == 202
    lab.stack.drain()
    (letter,) = lab.dead_letters()
    assert letter["requestPayload"] == failing
    assert letter["requestContext"]["condition"] == "RetriesExhausted"
    assert letter["requestContext"]["approximateInvokeCount"] == 2
    assert letter["responsePayload"]["errorMessage"] == "as asked"


# ── gateway ──────────────────────────────────────────────────────────────────


def test_a_request_is_an_event_of_format_2(http: httpx.Client) -> None:
    response = http.get(
        "/things/a%20b?x=1&y=&x=%C3%A9",
        headers=[("X-Twice", "1"), ("X-Twice", "2"), ("Cookie", "a=1; b=2"), ("User-Agent", "test")],
    )
    event = response.json()
    assert event["version"] == "2.0"
    assert event["routeKey"] == "GET /things/{id}"
    assert event["rawPath"] == "/things/a b"
    assert event["rawQueryString"] == "x=1&y=&x=%C3%A9"
    assert event["queryStringParameters"] == {"x": "1,é", "y": ""}
    assert event["pathParameters"] == {"id": "a b"}
    assert event["headers"]["x-twice"] == "1,2"
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["requestContext"]["http"]["userAgent"] == "test"
    assert "body" not in event


def test_the_most_specific_route_wins(http: httpx.Client) -> None:
    assert http.get("/things/all").json()["routeKey"] == "GET /things/all"
    assert http.put("/files/a/b/c").json()["pathParameters"] == {"rest": "a/b/c"}
    assert http.put("/files/a").json()["routeKey"] == "ANY /files/{rest+}"


def test_text_bodies_come_as_text_and_others_in_base64(http: httpx.Client) -> None:
    as_json = http.post("/things", content='{"é": 1}', headers={"content-type": "application/json"}).json()
    assert (as_json["body"], as_json["isBase64Encoded"]) == ('{"é": 1}', False)
    packed = gzip.compress(b'{"a": 1}')
    zipped = http.post(
        "/things", content=packed, headers={"content-type": "application/json", "content-encoding": "gzip"}
    ).json()
    assert (base64.b64decode(zipped["body"]), zipped["isBase64Encoded"]) == (packed, True)
    binary = http.post("/things", content=b"\x00", headers={"content-type": "application/octet-stream"}).json()
    assert binary["isBase64Encoded"]


def test_a_function_s_status_headers_cookies_and_binary_body_are_answered(http: httpx.Client) -> None:
    response = http.get("/teapot")
    assert response.status_code == 418
    assert response.headers["x-pot"] == "tea"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.content == b"\x00\xff"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("DELETE", "/things", 404, "Not Found"),
        ("GET", "/things/a%2Fb", 404, "Not Found"),  # decoded before it is matched
        ("GET", "/raise", 500, "Internal Server Error"),
        ("GET", "/nonsense", 500, "Internal Server Error"),
    ],
)
def test_the_gateway_s_own_answers(http: httpx.Client, method: str, path: str, status: int, message: str) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.json()) == (status, {"message": message})


def test_a_body_over_ten_megabytes_is_refused(http: httpx.Client) -> None:
    assert http.post("/things", content=b"x" * (10 * 1024 * 1024 + 1)).status_code == 413


def test_cors_is_answered_from_the_configuration_alone(http: httpx.Client) -> None:
    asking = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    preflight = http.options("/things", headers=asking)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert preflight.headers["access-control-allow-methods"] == "GET,POST"
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    assert preflight.headers["access-control-max-age"] == "600"
    ours = http.get("/teapot", headers={"origin": "https://shop.example"})
    assert ours.headers["access-control-allow-origin"] == "https://shop.example"
    theirs = http.get("/teapot", headers={"origin": "https://evil"})
    assert "access-control-allow-origin" not in theirs.headers


def test_local_routes_answer_json_and_a_failed_run_is_a_problem(http: httpx.Client) -> None:
    drained = http.post("/local/drain")
    assert (drained.status_code, set(drained.json())) == (200, {"invocations"})
    ran = http.post("/local/run/hourly")
    assert (ran.status_code, ran.json()["result"]) == (200, {"batchItemFailures": []})
    assert http.post("/local/run/patient").status_code == 500  # it needs Records, and has no schedule
    assert "there are echo, hourly" in http.post("/local/run/nobody").json()["detail"]


# ── streams ──────────────────────────────────────────────────────────────────


def test_only_records_that_pass_the_filter_arrive_and_they_look_like_lambda_s(lab: Lab) -> None:
    for key in ("P#filter-1", "X#filter", "Q#filter-2"):
        lab.put(key)
    lab.put("P#filter-1", "again")  # a MODIFY
    lab.stack.drain()
    records = [r for batch in lab.seen("patient") for r in batch if "filter" in r["dynamodb"]["Keys"]["SK"]["S"]]
    assert [r["dynamodb"]["Keys"]["SK"]["S"] for r in records] == ["P#filter-1", "Q#filter-2"]
    record = records[0]
    assert record["eventName"] == "INSERT"
    assert record["eventSource"] == "aws:dynamodb"
    assert ":table/" in record["eventSourceARN"]
    assert record["dynamodb"]["NewImage"]["blob"] == {"B": "AP8="}
    assert abs(record["dynamodb"]["ApproximateCreationDateTime"] - time.time()) < 120
    assert record["dynamodb"]["StreamViewType"] == "NEW_IMAGE"
    assert record["dynamodb"]["SequenceNumber"].isdigit()


def test_drain_skips_the_batching_window_that_else_gathers_records(lab: Lab) -> None:
    lab.stack.drain()
    for number in range(5):
        lab.put(f"P#window-{number}")
    assert lab.batches("patient", "P#window") == []
    started = time.monotonic()
    lab.stack.drain()
    assert time.monotonic() - started < 300 / SPEED
    assert lab.batches("patient", "P#window") == [[f"P#window-{number}" for number in range(5)]]


def test_the_window_s_end_and_nothing_sooner_delivers_without_a_drain(lab: Lab) -> None:
    lab.stack.drain()
    started = time.monotonic()
    lab.put("P#late")
    wait_for(lambda: lab.batches("patient", "P#late") == [["P#late"]])
    assert time.monotonic() - started >= 300 / SPEED - 0.1


def test_a_batch_resumes_at_the_lowest_failed_record(lab: Lab) -> None:
    for number, do in enumerate(["nothing", "nothing", "report once", "nothing", "report once"]):
        lab.put(f"P#resume-{number}", do)
    lab.stack.drain()
    of = [[f"P#resume-{number}" for number in range(start, 5)] for start in (0, 2)]
    assert lab.batches("patient", "P#resume") == of


def test_a_batch_whose_worker_is_killed_is_delivered_again(lab: Lab) -> None:
    for number, do in enumerate(["nothing", "die once", "nothing"]):
        lab.put(f"P#die-{number}", do)
    lab.stack.drain()
    batches = lab.batches("patient", "P#die")
    assert batches[0] == ["P#die-0", "P#die-1", "P#die-2"]
    assert sorted(key for batch in batches[1:] for key in batch) == batches[0]  # bisected, and each half once


def test_poison_is_found_by_bisection_kept_whole_and_costs_no_other_record(lab: Lab) -> None:
    for number in range(7):
        lab.put(f"P#poison-{number}", "raise" if number == 4 else "nothing")
    lab.stack.drain()
    batches = lab.batches("patient", "P#poison")
    assert batches.count(["P#poison-4"]) == 2  # once and one retry
    assert {key for batch in batches if "P#poison-4" not in batch for key in batch} == {
        f"P#poison-{number}" for number in range(7) if number != 4
    }
    kept = [(k, json.loads(b)) for k, b in lab.objects(lab.names["Failures"]) if b"P#poison-4" in b]
    ((key, record),) = kept
    assert key.startswith("aws/lambda/PatientStream/shardId-")
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["DDBStreamBatchInfo"]["batchSize"] == 1
    (payload,) = json.loads(record["payload"])["Records"]
    assert payload["dynamodb"]["NewImage"]["do"] == {"S": "raise"}
    assert payload["dynamodb"]["NewImage"]["blob"] == {"B": "AP8="}


def test_a_record_reported_for_ever_is_kept_after_its_retries_with_what_followed_it(lab: Lab) -> None:
    for number, do in enumerate(["nothing", "report", "nothing"]):
        lab.put(f"P#report-{number}", do)
    lab.stack.drain()
    kept = [json.loads(b) for _, b in lab.objects(lab.names["Failures"]) if b"P#report" in b]
    (payload,) = (json.loads(record["payload"])["Records"] for record in kept)
    assert [r["dynamodb"]["Keys"]["SK"]["S"] for r in payload] == ["P#report-1", "P#report-2"]


def test_without_bisection_a_batch_is_retried_until_it_is_too_old(lab: Lab) -> None:
    lab.dead_letters()
    lab.put("W#warm")  # so that no cold start takes the time of the retries
    lab.stack.drain()
    for number, do in enumerate(["nothing", "raise", "nothing"]):
        lab.put(f"W#{number}", do)
    lab.stack.drain()
    batches = lab.batches("whole", "W#")[1:]
    assert batches[:2] == [["W#0", "W#1", "W#2"]] * 2
    lab.put("W#3")
    lab.stack.drain()
    assert lab.batches("whole", "W#")[1 + len(batches) :] == [["W#3"]]
    letters = [each for each in lab.dead_letters() if "DDBStreamBatchInfo" in each]
    assert {letter["requestContext"]["condition"] for letter in letters} == {"RecordAgeExceeded"}
    assert sum(letter["DDBStreamBatchInfo"]["batchSize"] for letter in letters) == 3
    assert all("payload" not in letter for letter in letters)  # a queue gets no records


# ── queues and schedules ─────────────────────────────────────────────────────


def test_a_queue_s_messages_arrive_and_only_failed_ones_come_again(lab: Lab) -> None:
    send = functools.partial(lab.sqs.send_message, QueueUrl=lab.names["Jobs"])
    for do in ("nothing", "report once", "report once"):
        send(MessageBody=json.dumps({"do": do}))
    lab.stack.drain()
    send(MessageBody=json.dumps({"do": "die once"}))
    lab.stack.drain()
    asked = [json.loads(record["body"])["do"] for batch in lab.seen("jobber") for record in batch]
    assert (asked.count("nothing"), asked.count("report once"), asked.count("die once")) == (1, 4, 2)
    assert lab.seen("jobber")[0][0]["eventSource"] == "aws:sqs"
    counts = lab.sqs.get_queue_attributes(QueueUrl=lab.names["Jobs"], AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_schedule_runs_its_function_with_its_input_when_due(lab: Lab) -> None:
    before = len(lab.seen("hourly"))
    wait_for(lambda: len(lab.seen("hourly")) > before, seconds=5 * 60 / SPEED + 15)
    assert lab.seen("hourly")[-1] == []


# ── the command ──────────────────────────────────────────────────────────────

SMALL = """
    Transform: AWS::Serverless-2016-10-31
    Resources:
      Echo:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: functions/echo
          Handler: app.handler
          Runtime: python3.13
          Events: { Get: { Type: HttpApi, Properties: { Method: GET, Path: /echo } } }
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m infra.local` on a small template, up, with a worker started; and its URL."""
    write_project(tmp_path, SMALL, {"echo": ECHO})
    process = start(tmp_path, free_port())
    environment = tmp_path / "build/local/env"
    wait_for(lambda: environment.exists() or process.poll() is not None)
    settings = dict(line.split("=", 1) for line in environment.read_text().splitlines())
    assert httpx.get(settings["BECKON_URL"] + "/echo", trust_env=False, timeout=30).status_code == 200
    yield process, settings["BECKON_URL"]
    process.kill()
    process.wait()


def start(folder: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local", "--port", str(port)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_however_it_ends_no_process_is_left(
    up: tuple[subprocess.Popen[str], str], tmp_path: Path, ending: signal.Signals
) -> None:
    process, _ = up
    children = descendants(process.pid)
    assert len(children) >= 2  # moto and a worker
    process.send_signal(ending)
    assert process.wait(30) == (-ending if ending == signal.SIGKILL else 0)
    wait_for(lambda: not any(is_running(child) for child in children))
    assert (tmp_path / "build/local/env").exists() == (ending == signal.SIGKILL)


def test_a_port_in_use_is_said_with_what_to_do(tmp_path: Path) -> None:
    write_project(tmp_path, SMALL, {"echo": ECHO})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, taken.getsockname()[1])
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "in use" in errors
    assert "choose another port" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("a: [", "is not YAML"),
        ("a: 1", "no Resources"),
        (SMALL.replace("Handler:", "Handel:"), "Handel"),
    ],
)
def test_a_template_that_cannot_be_read_is_said_why(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "template.yaml").write_text(textwrap.dedent(text))
    process = start(tmp_path, 0)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said in errors
    assert "Traceback" not in errors


def descendants(pid: int) -> list[int]:
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return children + [each for child in children for each in descendants(child)]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
