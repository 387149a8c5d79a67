"""The ingest path on moto: collect's handler → table → stream → archive's handler → Parquet → compact's → readers."""

import base64
import gzip
import os
from typing import Any

import boto3
import duckdb
import orjson
import pandas as pd
import pytest

from beckon.access.shops import Shops
from beckon.aws import clients
from beckon.aws.keys import DynamoKeys
from beckon.aws.lake import S3LakeStore
from beckon.lake.reading import inventory, read_events, read_rejected
from beckon.values import DAY_MS

pytestmark = pytest.mark.xdist_group("moto")


def request(path: str, body: Any, key: str | None = None, *, encoded: bool = False, **headers: str) -> dict[str, Any]:
    """An HTTP API event, payload format 2.0, as API Gateway documents it."""
    content = body if isinstance(body, bytes) else (body if isinstance(body, str) else orjson.dumps(body).decode())
    if isinstance(content, bytes):
        content, encoded = base64.b64encode(content).decode(), True
    sent = {"content-type": "application/json", "user-agent": "test/1"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    if key is not None:
        sent["authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    return {
        "version": "2.0",
        "routeKey": f"POST {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": sent,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test/1",
            },
            "requestId": "id",
            "routeKey": f"POST {path}",
            "stage": "$default",
            "time": "02/Jan/2026:03:04:05 +0000",
            "timeEpoch": 1_767_323_045_000,
        },
        "body": content,
        "isBase64Encoded": encoded,
    }


class Deployment:
    """The functions of one deployment and what is around them, by hand."""

    def __init__(self, function: Any, table: str, secret: str, lake_bucket: str, context: Any) -> None:
        self.function, self.table, self.context = function, table, context
        self.keys = Shops(DynamoKeys(clients.dynamodb(), table), clients.secret(secret), os.urandom).create("acme", 0)
        self.lake = S3LakeStore(clients.s3(), lake_bucket)
        self.collect = function("collect").handler

    def post(
        self, path: str, body: Any, key: str | None = "write_key", **options: Any
    ) -> tuple[int, Any, dict[str, Any]]:
        event = request(path, body, self.keys[key] if key else None, **options)
        answer = self.collect(event, self.context)
        return (
            answer["statusCode"],
            orjson.loads(answer["body"]),
            answer.get("headers", {}) | answer.get("multiValueHeaders", {}),
        )

    def rows(self, prefix: str) -> list[dict[str, Any]]:
        pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=self.table)
        return [item for page in pages for item in page["Items"] if item["SK"]["S"].startswith(prefix)]

    def stream(self) -> list[dict[str, Any]]:
        """Everything on the table's stream so far, as Lambda would get it."""
        streams = boto3.client("dynamodbstreams")
        arn = streams.list_streams(TableName=self.table)["Streams"][0]["StreamArn"]
        shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
        at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found: list[dict[str, Any]] = []
        while at:
            page = streams.get_records(ShardIterator=at, Limit=1000)
            found += page["Records"]
            at = page.get("NextShardIterator") if page["Records"] else None
        for record in found:
            created = record["dynamodb"]["ApproximateCreationDateTime"]
            record["dynamodb"]["ApproximateCreationDateTime"] = created.timestamp()
        return found

    def archive(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        return self.function("archive").handler({"Records": records}, self.context)

    def compact(self) -> dict[str, Any]:
        return self.function("compact").handler({}, self.context)

    def objects(self, prefix: str = "lake/events/") -> dict[str, bytes]:
        return {key: self.lake.read(key) for key in self.lake.list(prefix)}


@pytest.fixture
def shop(function, table, secret, lake_bucket, context) -> Deployment:
    return Deployment(function, table, secret, lake_bucket, context)


def now() -> int:
    from beckon.aws.http import now_ms

    return now_ms()


def message(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "view",
        "messageId": f"m{n}",
        "userId": f"ann-{n % 4}",
        "timestamp": now() - 60_000 + n,
        "properties": {"item": f"i{n % 7}", "price": n + 0.25, "colour": "rød"},
    } | changes


def test_what_is_accepted_is_what_pandas_and_duckdb_read_from_the_lake(shop: Deployment, tmp_path) -> None:
    batches = [[message(n) for n in range(start, start + 25)] for start in (0, 20, 45)]  # 20..24 are sent twice
    batches[1].append(message(500, userId=None))
    batches[2].append(
        message(
            900,
            event="Order Completed",
            properties={"order_id": "o1", "products": [{"product_id": "a"}, {"product_id": "b"}]},
        )
    )
    sent = accepted = duplicates = rejected = 0
    again = {m["messageId"]: m for batch in batches for m in batch}
    for batch in batches:
        for repeat in range(2):  # each delivery twice, the second with a later sentAt
            body = {"batch": [again[m["messageId"]] for m in batch], "sentAt": now() + 5_000 * repeat}
            status, answer, _ = shop.post("/v1/batch", body)
            assert status == 200
            sent += len(batch)
            accepted += answer["accepted"]
            duplicates += answer["duplicates"]
            rejected += len(answer["rejected"])
    assert (sent, accepted, rejected) == (154, 152, 2)
    assert accepted - duplicates == 71  # m0..m69 and the order
    expected = {f"m{n}" for n in range(70)} | {"m900", "m900#1"}

    records = shop.stream()
    for start in (0, 10, 5, 30, 60):  # overlapping, the last one open-ended
        assert shop.archive(records[start : start + 40 if start < 60 else None]) == {"batchItemFailures": []}
    assert {r["message_id"] for r in read_events(shop.lake, "acme").to_pylist()} == expected

    done = shop.compact()
    assert done["left"] == 0
    assert inventory(shop.lake, "events", "acme").rows == len(expected)
    paths = []
    for number, content in enumerate(shop.objects().values()):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(content)
        paths.append(str(path))
    by_pandas = pd.concat(pd.read_parquet(path) for path in paths)
    rows = duckdb.sql(f"select message_id, item, value, type, properties from read_parquet({paths})").fetchall()
    of_table = {
        (e["message_id"], e["item"], e.get("value"), e["type"])
        for e in (orjson.loads(row["body"]["S"]) for row in shop.rows("E#"))
    }
    assert {(*row[:4],) for row in rows} == of_table
    assert {row[0] for row in rows} == set(by_pandas["message_id"]) == expected
    assert len(rows) == len(by_pandas) == len(expected)
    assert all(orjson.loads(row[4]) == {"colour": "rød"} for row in rows if row[3] == "view")
    [refused] = read_rejected(shop.lake, "acme").to_pylist()
    assert (refused["reason"], refused["message_id"]) == ("missing-identity", "m500")


def test_the_table_holds_pseudonyms_and_times_to_live(shop: Deployment) -> None:
    received = now()
    shop.post("/v1/batch", {"batch": [message(1), message(2, timestamp=1_000_000), message(3, userId="")]})
    young, old = sorted(shop.rows("E#"), key=lambda row: row["SK"]["S"], reverse=True)
    [refused] = shop.rows("R#")
    day_s = DAY_MS // 1000
    assert int(young["ttl"]["N"]) == pytest.approx(received / 1000 + 180 * day_s, abs=120)
    assert int(old["ttl"]["N"]) == pytest.approx(received / 1000 + 2 * day_s, abs=60)
    assert int(refused["ttl"]["N"]) == pytest.approx(received / 1000 + 7 * day_s, abs=60)
    assert "ann-" not in str(shop.rows(""))


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
def test_each_of_segments_routes_takes_its_one_message(shop: Deployment, kind: str) -> None:
    one = {"event": "view", "userId": "ann", "properties": {"item": "a"}, "messageId": "x", "surprise": {"a": 1}}
    status, answer, _ = shop.post(f"/v1/{kind}", one)
    assert (status, answer["success"], answer["accepted"]) == (200, True, 1)
    assert len(shop.rows("E#")) == 1


def test_a_message_without_time_is_one_event_however_often_it_is_sent(shop: Deployment) -> None:
    untimed = {"type": "track", "event": "view", "userId": "ann", "messageId": "x", "properties": {"item": "a"}}
    counts = [shop.post("/v1/batch", {"batch": [untimed, untimed], "sentAt": now() + n})[1] for n in (0, 1, 2)]
    assert [(one["accepted"], one["duplicates"]) for one in counts] == [(2, 1), (2, 2), (2, 2)]
    assert len(shop.rows("E#")) == 1
    shop.archive(shop.stream())
    assert len(read_events(shop.lake, "acme")) == 1


def test_the_key_may_be_in_the_body_and_the_body_compressed(shop: Deployment) -> None:
    body = orjson.dumps({"batch": [message(1)], "writeKey": shop.keys["write_key"]})
    status, answer, _ = shop.post("/v1/batch", gzip.compress(body), key=None, content_encoding="gzip")
    assert (status, answer["accepted"]) == (200, 1)
    assert shop.post("/v1/batch", {"batch": [message(2)]}, key="secret_key")[1]["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "key", "status", "code"),
    [
        ("{", "write_key", 400, "malformed-body"),
        ("[]", "write_key", 400, "malformed-body"),
        ("", "write_key", 400, "malformed-body"),
        ({"batch": "x"}, "write_key", 400, "invalid-request"),
        ({"batch": [], "pad": "x" * 513_000}, "write_key", 413, "body-too-large"),
        ({"batch": []}, None, 401, "missing-key"),
        ({"batch": [], "writeKey": "wk_nobody"}, None, 401, "unknown-key"),
        ({"batch": [], "writeKey": 7}, None, 401, "missing-key"),
    ],
)
def test_a_body_at_fault_is_a_problem(shop: Deployment, body: Any, key: str | None, status: int, code: str) -> None:
    found, answer, _ = shop.post("/v1/batch", body, key=key)
    assert (found, answer["code"]) == (status, code)
    assert answer["message"]  # Segment's Python SDK needs both


@pytest.mark.parametrize("header", ["sec_gpc", "dnt"])
def test_a_person_who_opted_out_is_refused_and_nothing_kept(shop: Deployment, header: str) -> None:
    status, answer, _ = shop.post("/v1/batch", {"batch": [message(1)]}, **{header: "1"})
    assert (status, answer["accepted"], answer["rejected"][0]["code"]) == (200, 0, "opted-out")
    assert not shop.rows("E#")
    assert not shop.rows("R#")


def test_a_number_that_is_none_costs_only_its_own_event(shop: Deployment) -> None:
    good, bad = orjson.dumps(message(1)).decode(), orjson.dumps(message(2)).decode().replace("2.25", "NaN")
    status, answer, _ = shop.post("/v1/batch", f'{{"batch": [{bad}, {good}]}}')
    assert (status, answer["accepted"], answer["rejected"][0]["code"]) == (200, 1, "not-a-number")
    assert answer["rejected"][0]["field"] == "properties.price"


def test_a_rejection_is_kept_once_however_often_it_is_sent(shop: Deployment) -> None:
    for n in range(2):
        assert len(shop.post("/v1/batch", {"batch": [message(1, userId="", timestamp=n * 0)]})[1]["rejected"]) == 1
    assert len(shop.rows("R#")) == 1
