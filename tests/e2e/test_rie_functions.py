"""Each function as `sam build` leaves it, under Lambda's emulator, on real resources: the whole loop.

A recorder between the functions and moto notes every call, so that a function which calls what its policy does not
allow fails here and not in an account.
"""

import base64
import http.client
import io
import json
import random
import re
import threading
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from infra.build.invocations import invocations
from infra.build.rie import Running, running
from infra.build.sam import ROOT
from infra.local import parts
from infra.local.filters import Filters
from infra.local.resources import client, moto_server, provision

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rie")]

CHAINS = [("tent", "mat", "stove"), ("boot", "sock", "gaiter"), ("lamp", "bulb", "shade")]
SHOPPERS = 60
# Every way in which DynamoDB lets a transaction's parts be named, and the permission each part needs.
PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
S3_ACTIONS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


def action(method: str, path: str, target: str, body: bytes) -> Iterator[tuple[str, str]]:
    """The permissions that one call needs, each with its resource: a table's or secret's service, or a bucket's key."""
    service, _, operation = target.partition(".")
    if service.startswith("DynamoDB"):
        told = json.loads(body)
        needed = {operation}
        if operation == "TransactWriteItems":
            needed = {PARTS[part] for each in told["TransactItems"] for part in each}
        yield from ((f"dynamodb:{name}", "table") for name in needed)
    elif service == "secretsmanager":
        yield f"secretsmanager:{operation}", "secret"
    else:
        bucket, _, key = urllib.parse.urlsplit(path).path.lstrip("/").partition("/")
        yield (f"s3:{S3_ACTIONS[method]}", f"{bucket}/{key}") if key else ("s3:ListBucket", bucket)


@contextmanager
def recorder(endpoint: str, calls: dict[str, set[tuple[str, str]]]) -> Iterator[str]:
    """A server that passes everything on to `endpoint` and notes, by access key id, the permissions it needed."""
    upstream = urllib.parse.urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            caller = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
            target = self.headers.get("x-amz-target", "")
            calls[caller[1] if caller else ""].update(action(self.command, self.path, target, body))
            connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "server", "date"}:
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
            self.send_header("content-length", length or "0")
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Cloud:
    """The template's resources, and its built functions, each started when it is first invoked."""

    def __init__(self, built, provisioned, calls, others, exits: ExitStack) -> None:
        self.provisioned = provisioned
        self.calls = calls
        self.others = others
        self.template = provisioned.template
        self.seen = 0  # of the stream
        self._built = built
        self._exits = exits
        self._running: dict[str, Running] = {}
        self._recorder = exits.enter_context(recorder(provisioned.endpoint, calls))

    def invoke(self, name: str, event: Any) -> Any:
        answer = self.function(name).invoke(event)
        assert not answer.is_error, f"{answer.value}\n{self.function(name).log()}"
        return answer.value

    def function(self, name: str) -> Running:
        if name not in self._running:
            properties = self.template["Resources"][self._built[name].logical_id]["Properties"]
            variables = {
                **self.provisioned.environment(name),
                "AWS_ENDPOINT_URL": self._recorder,
                "AWS_ENDPOINT_URL_LAMBDA": self.others.url,
                "AWS_ACCESS_KEY_ID": name,  # so that the recorder knows who calls
            }
            started = running(
                self._built[name],
                variables,
                timeout_seconds=int(properties["Timeout"]),
                memory_mb=int(properties["MemorySize"]),
            )
            self._running[name] = self._exits.enter_context(started)
        return self._running[name]

    def http(self, name: str, method: str, path: str, key: str, body: Any = None) -> tuple[int, Any]:
        event = json.loads((ROOT / "tests" / "fixtures" / "events" / "manage.json").read_text())
        event |= {"routeKey": f"{method} {path}", "rawPath": path}
        event["requestContext"]["http"] |= {"method": method, "path": path}
        event["headers"]["authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        if body is not None:
            event["body"] = json.dumps(body)
        answer = self.invoke(name, event)
        return answer["statusCode"], json.loads(answer["body"])

    def client(self, service: str) -> Any:
        return client(service, self.provisioned.endpoint)

    def bucket(self, function: str, variable: str) -> str:
        return self.provisioned.environment(function)[variable]

    def objects(self, function: str, variable: str, prefix: str) -> dict[str, bytes]:
        s3, bucket = self.client("s3"), self.bucket(function, variable)
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed}

    def rows(self, prefix: str) -> list[dict[str, Any]]:
        table = self.bucket("collect", "BECKON_TABLE")
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return [row for page in pages for row in page["Items"] if row["SK"]["S"].startswith(prefix)]

    def new_records(self, function: str, since: int = 0) -> list[dict[str, Any]]:
        """What the stream would wake `function` with, by the template's own filter."""
        (source,) = [source for source in parts.sources(self.template) if source.function == function]
        streams = self.client("dynamodbstreams")
        (shard,) = streams.describe_stream(StreamArn=source.arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=source.arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found: list[dict[str, Any]] = []
        while page := streams.get_records(ShardIterator=iterator, Limit=1000):
            found += page["Records"]
            iterator = page["NextShardIterator"]
            if not page["Records"]:
                break
        plain = json.loads(json.dumps(found, default=datetime.timestamp))
        passes = Filters(source.patterns).passes
        return [each | {"eventSourceARN": source.arn} for each in plain[since:] if passes(each)]


@pytest.fixture(scope="module")
def cloud(built, translated) -> Iterator[Cloud]:
    calls: dict[str, set[tuple[str, str]]] = defaultdict(set)
    with ExitStack() as exits:
        endpoint = exits.enter_context(moto_server())
        others = exits.enter_context(invocations())
        yield Cloud(built, provision(translated, endpoint), calls, others, exits)


def view(message_id: str, visitor: str, item: str, ts: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Product Viewed",
        "messageId": message_id,
        "anonymousId": visitor,
        "timestamp": datetime.fromtimestamp(ts / 1000).astimezone().isoformat(),
        "properties": {"product_id": item},
    }


@pytest.fixture(scope="module")
def shop(cloud) -> dict[str, str]:
    return cloud.invoke("manage", {"command": "create-shop", "shop": "default"})


@pytest.fixture(scope="module")
def catalogue(cloud, shop) -> tuple[int, Any]:
    items = [
        {"id": item, "title": f"{item} number {n}", "categories": [f"chain{n}"], "price": 10 + n}
        for n, chain in enumerate(CHAINS)
        for item in chain
    ]
    return cloud.http("manage", "POST", "/v1/items", shop["secret_key"], {"items": items})


@pytest.fixture(scope="module")
def collected(cloud, shop, catalogue) -> list[dict[str, Any]]:
    """Shoppers who each walk one chain in order; the last message of the last batch names nobody."""
    chance = random.Random(11)
    start = int(time.time() * 1000) - 3 * 3_600_000
    messages = [
        view(f"m-{shopper}-{step}", f"visitor-{shopper}", item, start + shopper * 1000 + step * 100)
        for shopper in range(SHOPPERS)
        for step, item in enumerate(CHAINS[shopper % 3][: chance.choice([2, 3, 3])])
    ]
    messages.append({**view("m-nobody", "", "tent", start), "anonymousId": None})
    batches = [messages[at : at + 50] for at in range(0, len(messages), 50)]
    return [cloud.http("collect", "POST", "/v1/batch", shop["write_key"], {"batch": batch}) for batch in batches]


@pytest.fixture(scope="module")
def archived(cloud, collected) -> dict[str, Any]:
    answer = cloud.invoke("archive", {"Records": cloud.new_records("archive")})
    return answer | {"objects": cloud.objects("archive", "BECKON_LAKE_BUCKET", "lake/")}


@pytest.fixture(scope="module")
def compacted(cloud, archived) -> dict[str, bytes]:
    # The same batch once more, split: what a killed function leaves behind. Then compaction.
    records = cloud.new_records("archive")
    for some in (records[: len(records) // 3], records[len(records) // 3 :]):
        cloud.invoke("archive", {"Records": some})
    cloud.invoke("compact", json.loads((ROOT / "tests" / "fixtures" / "events" / "compact.json").read_text()))
    return cloud.objects("compact", "BECKON_LAKE_BUCKET", "lake/events/")


@pytest.fixture(scope="module")
def trained(cloud, compacted) -> dict[str, Any]:
    started = cloud.invoke("retrain", {})
    ((name, event),) = cloud.others.asked
    return {"started": started, "name": name, "event": event, "done": cloud.invoke(name, event)}


@pytest.fixture(scope="module")
def served(cloud, shop, trained) -> tuple[int, Any]:
    """A list for a visitor whose one click is a request old, and in no lake."""
    click = view("m-fresh", "visitor-fresh", "boot", int(time.time() * 1000))
    cloud.http("collect", "POST", "/v1/batch", shop["write_key"], {"batch": [click]})
    wanted = {"anonymous_id": "visitor-fresh", "surface": "home", "k": 4}
    return cloud.http("recommend", "POST", "/v1/recommendations", shop["write_key"], wanted)


@pytest.fixture(scope="module")
def attributed(cloud, shop, served) -> dict[str, Any]:
    _, list_ = served
    before = len(cloud.new_records("attribute"))
    bought = list_["items"][0]["id"]
    order = {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m-order",
        "anonymousId": "visitor-fresh",
        "properties": {
            "order_id": "o-1",
            "rec_id": list_["rec_id"],
            "currency": "EUR",
            "products": [{"product_id": bought, "price": 49.5, "quantity": 2}],
        },
    }
    cloud.http("collect", "POST", "/v1/batch", shop["write_key"], {"batch": [order]})
    records = cloud.new_records("attribute")[before:]
    answers = [cloud.invoke("attribute", {"Records": records}) for _ in range(2)]
    return {"records": records, "answers": answers, "bought": bought}


def test_manage_makes_a_shop_and_answers_for_its_health(cloud, shop):
    assert shop["write_key"].startswith("wk_")
    assert shop["secret_key"].startswith("sk_")
    status, body = cloud.http("manage", "GET", "/healthz", "")
    assert (status, body["status"]) == (200, "ok")


def test_manage_keeps_the_catalogue(cloud, shop, catalogue):
    status, body = catalogue
    assert (status, body["accepted"]) == (200, 9)
    status, listed = cloud.http("manage", "GET", "/v1/items", shop["secret_key"])
    assert {item["id"] for item in listed["items"]} == {item for chain in CHAINS for item in chain}


def test_collect_keeps_what_is_good_and_says_why_the_rest_is_not(cloud, collected):
    assert [status for status, _ in collected] == [200] * len(collected)
    sent = sum(body["accepted"] + len(body["rejected"]) for _, body in collected)
    rejected = [each for _, body in collected for each in body["rejected"]]
    assert [each["message_id"] for each in rejected] == ["m-nobody"]
    assert len(cloud.rows("E#")) == sent - 1
    assert len(cloud.rows("R#")) == 1


def test_archive_writes_each_record_to_its_dataset(archived, collected):
    assert archived["batchItemFailures"] == []
    rows = {
        dataset: sum(
            pq.read_table(io.BytesIO(content)).num_rows
            for key, content in archived["objects"].items()
            if key.startswith(f"lake/{dataset}/shop=default/")
        )
        for dataset in ("events", "rejected")
    }
    assert rows == {"events": sum(body["accepted"] for _, body in collected), "rejected": 1}


def test_compact_leaves_each_event_once_in_one_object_a_day(compacted, collected):
    tables = [pq.read_table(io.BytesIO(content)) for content in compacted.values()]
    days = {key.split("/dt=")[1].split("/")[0] for key in compacted}
    assert len(tables) == len(days)
    ids = [message for table in tables for message in table["message_id"].to_pylist()]
    assert len(ids) == len(set(ids)) == sum(body["accepted"] for _, body in collected)


def test_retrain_starts_a_run_for_the_shop_and_that_run_makes_a_model(cloud, trained):
    assert (trained["name"], trained["event"]) == ("retrain", {"shop": "default"})
    done = trained["done"]
    assert done["shop"] == "default"
    assert done["promoted"] is True
    files = {
        Path(key).name for key in cloud.objects("retrain", "BECKON_MODEL_BUCKET", f"models/default/{done['model_id']}/")
    }
    assert {"scorer.onnx", "manifest.json"} <= files
    pointer = cloud.objects("retrain", "BECKON_MODEL_BUCKET", "models/default/current.json")
    assert orjson.loads(pointer["models/default/current.json"])["model_id"] == done["model_id"]


def test_recommend_serves_that_model_on_a_click_one_request_old(served, trained):
    status, body = served
    assert (status, body["model_id"]) == (200, trained["done"]["model_id"])
    assert body["items"][0]["id"] in {"sock", "gaiter"}  # what follows a boot
    for item in body["items"]:
        assert sum(reason["part"] for reason in item["reasons"]) == pytest.approx(item["score"], abs=1e-4)


def test_the_list_is_kept_as_an_exposure(cloud, served):
    _, body = served
    (exposure,) = [row for row in cloud.rows("X#") if row["SK"]["S"].endswith(body["rec_id"])]
    kept = orjson.loads(exposure["body"]["S"])
    assert [slot["item"] for slot in kept["slots"]] == [item["id"] for item in body["items"]]


def test_attribute_credits_a_sale_to_the_list_once_however_often_it_is_told(cloud, attributed, served):
    assert attributed["records"]
    assert [answer["batchItemFailures"] for answer in attributed["answers"]] == [[], []]
    outcomes = [orjson.loads(row["body"]["S"]) for row in cloud.rows("O#")]
    (sale,) = [each for each in outcomes if each["item"] == attributed["bought"] and each["kind"] != "click"]
    _, body = served
    assert body["rec_id"] in json.dumps(sale["credits"])


def test_a_function_calls_nothing_that_its_policy_does_not_allow(cloud, attributed, built):
    named = {
        "table": cloud.bucket("collect", "BECKON_TABLE"),
        "secret": cloud.bucket("collect", "BECKON_SECRET"),
        "LakeBucket": cloud.bucket("archive", "BECKON_LAKE_BUCKET"),
        "ModelBucket": cloud.bucket("recommend", "BECKON_MODEL_BUCKET"),
    }
    assert set(cloud.calls) == set(built), "every function of the template was run and called something"
    for name, calls in cloud.calls.items():
        statements = allowed(cloud.template["Resources"], built[name].logical_id, named)
        refused = [call for call in sorted(calls) if not any(permits(each, call) for each in statements)]
        assert refused == [], f"{name} may not: {refused}"


def allowed(resources: dict[str, Any], logical_id: str, named: dict[str, str]) -> list[tuple[list[str], list[str]]]:
    """A role's statements as (actions, resource patterns), in the recorder's words."""

    def pattern(resource: Any) -> str:
        match resource:
            case {"Fn::GetAtt": ["Table", _]}:
                return "table"
            case {"Ref": "Secret"}:
                return "secret"
            case {"Fn::GetAtt": [str(name), _]}:
                return named.get(name, name)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{(\w+)\.Arn\}", lambda found: named.get(found[1], found[1]), text)
        return str(resource)

    def listed(value: Any) -> list[Any]:
        return value if isinstance(value, list) else [value]

    policies = resources[f"{logical_id}Role"]["Properties"]["Policies"]
    return [
        (listed(statement["Action"]), [pattern(each) for each in listed(statement["Resource"])])
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def permits(statement: tuple[list[str], list[str]], call: tuple[str, str]) -> bool:
    actions, resources = statement
    action_, resource = call
    whole = [re.escape(each).replace(r"\*", ".*") for each in resources]
    return action_ in actions and any(re.fullmatch(each, resource) for each in whole)
