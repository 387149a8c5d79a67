"""AWS at fault: throttled tables, S3 refusing, functions killed. Nothing is lost and nothing is doubled."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import orjson
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from beckon.access.shops import Shops
from beckon.aws import clients
from beckon.aws.events import DynamoEventLog, DynamoRejections
from beckon.aws.keys import DynamoKeys
from beckon.aws.lake import S3LakeStore
from beckon.events.bots import DeclaredBots
from beckon.events.delivery import Delivery
from beckon.events.service import Collection
from beckon.lake.archive import Archive
from beckon.lake.compaction import Compaction
from beckon.lake.reading import inventory, read_events
from beckon.values import DAY_MS
from tests.ingest_fakes import stream_record

pytestmark = pytest.mark.xdist_group("moto")
RECEIVED = 1_767_323_045_678

type Fault = tuple[int, bytes]
type Refuses = Callable[[str, str, bytes], Fault | None]

THROTTLED: Fault = (
    400,
    b'{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "message": "slow"}',
)
SLOW_DOWN: Fault = (503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")


@contextmanager
def proxy(target: str, refuses: Refuses) -> Iterator[str]:
    """A server in front of moto that answers some requests with a fault of AWS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = refuses(self.command, self.headers.get("x-amz-target") or self.path, body)
            if fault is not None:
                self.reply(fault[0], {}, fault[1])
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in {"content-length", "expect"}}
            headers.setdefault("Content-Type", "application/octet-stream")  # else urllib says it is a form
            sent = urllib.request.Request(target + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(sent, timeout=20) as found:
                    self.reply(found.status, dict(found.headers), found.read())
            except urllib.error.HTTPError as fault_of_moto:
                self.reply(fault_of_moto.code, dict(fault_of_moto.headers), fault_of_moto.read())

        def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = pass_on  # noqa: N815 — the server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Now:
    """Refuses the first `times` requests that match, thread-safely."""

    def __init__(self, times: int, matches: Callable[[str, str], bool], fault: Fault) -> None:
        self.left, self.refused, self.passed = times, 0, 0
        self._matches, self._fault, self._lock = matches, fault, threading.Lock()

    def __call__(self, method: str, what: str, _: bytes) -> Fault | None:
        if not self._matches(method, what):
            return None
        with self._lock:
            if self.left <= 0:
                self.passed += 1
                return None
            self.left -= 1
            self.refused += 1
            return self._fault


def writes(_: str, what: str) -> bool:
    return what.endswith("PutItem")


def messages(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "type": "track",
            "event": "view",
            "messageId": f"m{n}",
            "userId": f"u{n % 3}",
            "properties": {"item": f"i{n}"},
            **({"timestamp": RECEIVED - n} if n % 5 else {}),  # every fifth has no time
        }
        for n in range(start, start + count)
    ]


def collection(client: Any, table: str) -> Collection:
    return Collection(DynamoEventLog(client, table, 180), DynamoRejections(client, table), DeclaredBots())


def delivery(later: int = 0) -> Delivery:
    return Delivery("acme", b"k" * 32, RECEIVED + later, 180 * DAY_MS)


def stored(table: str) -> list[str]:
    rows = clients.dynamodb().scan(TableName=table, ConsistentRead=True)["Items"]
    return sorted(orjson.loads(row["body"]["S"])["message_id"] for row in rows if row["SK"]["S"].startswith("E#"))


def test_a_moment_of_throttling_is_waited_out(table: str, moto_url: str) -> None:
    refuses = Now(4, writes, THROTTLED)
    with proxy(moto_url, refuses) as url:
        client = boto3.client("dynamodb", endpoint_url=url, config=clients._CONFIG)
        verdict = collection(client, table).take(messages(12), delivery())
    assert refuses.refused == 4
    assert (verdict.accepted, verdict.duplicates) == (12, 0)
    assert stored(table) == sorted(f"m{n}" for n in range(12))


def test_a_throttled_table_answers_503_and_what_is_sent_again_is_whole(
    function, table: str, secret: str, moto_url: str, context, monkeypatch
) -> None:
    keys = Shops(DynamoKeys(clients.dynamodb(), table), clients.secret(secret), lambda n: b"r" * n).create("acme", 0)
    body = orjson.dumps({"batch": messages(40), "writeKey": keys["write_key"]}).decode()
    event = {
        "version": "2.0",
        "routeKey": "POST /v1/batch",
        "rawPath": "/v1/batch",
        "headers": {},
        "requestContext": {"http": {"method": "POST", "path": "/v1/batch"}, "stage": "$default"},
        "body": body,
        "isBase64Encoded": False,
    }
    seen = threading.Lock()
    count = 0

    def all_but_the_first_nine(_: str, what: str, __: bytes) -> Fault | None:
        nonlocal count
        with seen:
            count += writes("", what)
            return THROTTLED if writes("", what) and count > 9 else None

    with proxy(moto_url, all_but_the_first_nine) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setattr(clients, "_CONFIG", Config(retries={"mode": "standard", "max_attempts": 2}))
        answer = function("collect").handler(event, context)
    assert answer["statusCode"] == 503
    assert int(answer["headers"]["Retry-After"]) > 0
    assert orjson.loads(answer["body"])["code"] == "unavailable"
    written = len(stored(table))
    assert 0 < written < 40

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    answer = orjson.loads(function("collect").handler(event, context)["body"])
    assert (answer["accepted"], answer["duplicates"]) == (40, written)
    assert stored(table) == sorted(f"m{n}" for n in range(40))


class DyingClient:
    """A DynamoDB client of a container that is killed after `left` writes."""

    def __init__(self, left: int) -> None:
        self._client, self.left, self._lock = clients.dynamodb(), left, threading.Lock()
        self.exceptions = self._client.exceptions

    def _spend(self) -> None:
        with self._lock:
            if self.left <= 0:
                raise SystemExit("killed")
            self.left -= 1

    def put_item(self, **request: Any) -> Any:
        self._spend()
        return self._client.put_item(**request)


@pytest.mark.parametrize("written", [1, 13])
def test_a_collect_killed_mid_batch_is_whole_after_the_re_send(table: str, written: int) -> None:
    with pytest.raises(SystemExit):
        collection(DyingClient(written), table).take(messages(30), delivery())
    before = len(stored(table))
    assert before <= written  # some writes were markers
    verdict = collection(clients.dynamodb(), table).take(messages(30), delivery(later=9_000))
    assert (verdict.accepted, verdict.duplicates) == (30, before)
    assert stored(table) == sorted(f"m{n}" for n in range(30))


def stream_batch(count: int, start: int = 0) -> list[dict[str, Any]]:
    from beckon.events.model import Event

    return [
        stream_record(
            Event("acme", f"m{n}", "view", f"u{n % 3}", RECEIVED + n, None, RECEIVED + n % 2 * DAY_MS, item=f"i{n}"),
            f"E#{n}",
            1000 + n,
        )
        for n in range(start, start + count)
    ]


def impatient_s3(url: str) -> Any:
    """An S3 client that tries once, and sends bodies that a plain HTTP server can read."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
    )
    return boto3.client("s3", endpoint_url=url, config=config)


def test_s3_refusing_for_a_while_fails_the_batch_until_it_is_written_once(lake_bucket: str, moto_url: str) -> None:
    # The first of the batch's two objects is written, then S3 refuses: the mapping retries the batch whole.
    refuses = Now(0, lambda method, path: method == "PUT" and "2026-01-03" in path, SLOW_DOWN)
    with proxy(moto_url, refuses) as url:
        archive = Archive(S3LakeStore(impatient_s3(url), lake_bucket))
        archive.take(stream_batch(4))
        refuses.left = 3
        for _ in range(3):
            with pytest.raises(ClientError, match="SlowDown"):
                archive.take(stream_batch(6, start=4))
        archive.take(stream_batch(6, start=4))
        archive.take(stream_batch(6, start=4))  # the answer got lost: delivered twice
    lake = S3LakeStore(clients.s3(), lake_bucket)
    assert sorted(read_events(lake, "acme")["message_id"].to_pylist()) == sorted(f"m{n}" for n in range(10))
    assert inventory(lake, "events", "acme").rows == 10


def test_s3_refusing_a_compaction_leaves_the_lake_right_and_the_next_run_ends_it(
    lake_bucket: str, moto_url: str
) -> None:
    lake = S3LakeStore(clients.s3(), lake_bucket)
    for start in (0, 3, 6):
        Archive(lake).take(stream_batch(5, start=start))
    expected = read_events(lake, "acme")
    # Both days are written, the second one's inputs are not yet deleted.
    deletes = Now(0, lambda method, _: method == "DELETE", SLOW_DOWN)

    def refuses(method: str, what: str, body: bytes) -> Fault | None:
        if deletes.passed == 4:
            deletes.left = 10**6
        return deletes(method, what, body)

    with proxy(moto_url, refuses) as url:
        broken = S3LakeStore(impatient_s3(url), lake_bucket)
        with pytest.raises(ClientError, match="SlowDown"):
            Compaction(broken).run(lambda: 900_000)
    assert inventory(lake, "events", "acme").rows > len(expected)  # doubled on disk …
    assert read_events(lake, "acme").equals(expected)  # … and once to the reader
    Compaction(lake).run(lambda: 900_000)
    assert read_events(lake, "acme").equals(expected)
    assert (inventory(lake, "events", "acme").files, inventory(lake, "events", "acme").rows) == (2, len(expected))
