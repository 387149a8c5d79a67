"""Each fake of the ingest ports behaves as its adapter on moto does."""

from typing import Any

import boto3
import orjson
import pytest

from beckon.aws import clients
from beckon.aws.events import DynamoEventLog, DynamoRejections
from beckon.aws.lake import S3LakeStore
from beckon.events.model import Event, Rejection
from beckon.events.ports import EventLog, Rejections
from beckon.lake.ports import LakeStore
from tests.ingest_fakes import MemoryEventLog, MemoryLake, MemoryRejections

pytestmark = pytest.mark.xdist_group("moto")
RECEIVED = 1_767_323_045_678


@pytest.fixture(params=["memory", "table"])
def log(request: Any) -> EventLog:
    if request.param == "memory":
        return MemoryEventLog()
    table = request.getfixturevalue("table")  # before the client: the fixture says where to find AWS
    return DynamoEventLog(clients.dynamodb(), table, 180)


@pytest.fixture(params=["memory", "s3"])
def lake(request: Any) -> LakeStore:
    if request.param == "memory":
        return MemoryLake()
    bucket = request.getfixturevalue("lake_bucket")
    return S3LakeStore(clients.s3(), bucket)


def event(**changes: Any) -> Event:
    known = {"message_id": "m", "type": "view", "user_key": "u", "ts": 5, "original_ts": 7, "received_ts": RECEIVED}
    return Event("acme", **known | changes)


def test_an_event_is_new_once(log: EventLog) -> None:
    first, again = event(), event(received_ts=RECEIVED + 9, ts=6, item="other")
    assert [log.append(first), log.append(again), log.append(first)] == [True, False, False]


@pytest.mark.parametrize(
    "changes", [{"message_id": "m#1"}, {"user_key": "v"}, {"original_ts": 8}, {"shop": "bolt", "user_key": "w"}]
)
def test_another_id_person_or_time_is_another_event(log: EventLog, changes: dict[str, Any]) -> None:
    log.append(event())
    other = event(**{k: v for k, v in changes.items() if k != "shop"})
    assert log.append(other)


def test_an_event_without_time_is_new_once_by_its_id(log: EventLog) -> None:
    untimed = event(original_ts=None)
    assert [log.append(untimed), log.append(event(original_ts=None, ts=99)), log.append(event())] == [True, False, True]


def test_an_event_without_time_whose_writer_was_killed_after_the_marker_is_put_under_the_first_time(table: str) -> None:
    client = clients.dynamodb()
    log = DynamoEventLog(client, table, 180)
    assert log.append(event(original_ts=None, ts=5))
    client.delete_item(TableName=table, Key={"PK": {"S": "acme#U#u"}, "SK": {"S": "E#0000000000005#m"}})
    assert [log.append(event(original_ts=None, ts=99)) for _ in range(2)] == [True, False]
    rows = client.scan(TableName=table)["Items"]
    assert sorted(row["SK"]["S"] for row in rows) == ["E#0000000000005#m", "N#m"]


@pytest.mark.parametrize("message_id", ["#", "ü" * 256, "a/b?c=%00", "x" * 256, " "])
def test_any_message_id_can_be_a_key(log: EventLog, message_id: str) -> None:
    assert [log.append(event(message_id=message_id)) for _ in range(2)] == [True, False]


def test_the_first_write_of_an_event_wins(table: str) -> None:
    log = DynamoEventLog(clients.dynamodb(), table, 180)
    log.append(event(item="first"))
    log.append(event(item="second"))
    [row] = clients.dynamodb().scan(TableName=table)["Items"]
    assert (row["PK"]["S"], row["SK"]["S"]) == ("acme#U#u", "E#0000000000007#m")
    assert Event.from_record(orjson.loads(row["body"]["S"])) == event(item="first")


@pytest.mark.parametrize("kind", ["memory", "table"])
def test_a_rejection_is_kept_once(kind: str, request: Any) -> None:
    one = Rejection("acme", "bot", "why", None, "{}", "digest1", RECEIVED, 0)
    kept: Rejections = MemoryRejections()
    table = ""
    if kind == "table":
        table = request.getfixturevalue("table")
        kept = DynamoRejections(clients.dynamodb(), table)
    for index in (0, 4):
        kept.keep(Rejection("acme", "bot", "why", None, "{}", "digest1", RECEIVED, index))
    if isinstance(kept, MemoryRejections):
        found = list(kept.kept.values())
    else:
        rows = clients.dynamodb().scan(TableName=table)["Items"]
        found = [Rejection.from_record(orjson.loads(row["body"]["S"])) for row in rows]
    assert found == [one]


def test_objects_are_listed_sorted_by_prefix_and_overwritten(lake: LakeStore) -> None:
    for key in ("lake/b/2", "lake/a/1", "lake/b/10", "other/b"):
        lake.write(key, b"old")
    lake.write("lake/b/2", b"new")
    assert lake.list("lake/b/") == ["lake/b/10", "lake/b/2"]
    assert lake.list("lake/") == ["lake/a/1", "lake/b/10", "lake/b/2"]
    assert lake.list("none/") == []
    assert lake.read("lake/b/2") == b"new"


def test_a_version_changes_with_the_content_alone(lake: LakeStore) -> None:
    lake.write("lake/a/1", b"old")
    lake.write("lake/a/2", b"other")
    before = lake.versions("lake/a/")
    lake.write("lake/a/1", b"new")
    lake.write("lake/a/2", b"other")
    after = lake.versions("lake/a/")
    assert list(after) == ["lake/a/1", "lake/a/2"]
    assert before["lake/a/1"] != after["lake/a/1"]
    assert before["lake/a/2"] == after["lake/a/2"]
    assert lake.versions("none/") == {}


def test_what_is_not_there_is_not_found_and_may_be_deleted(lake: LakeStore) -> None:
    lake.write("lake/a", b"x")
    lake.delete("lake/a")
    lake.delete("lake/a")
    with pytest.raises(FileNotFoundError):
        lake.read("lake/a")


def test_more_objects_than_a_page_are_all_listed(lake_bucket: str) -> None:
    client = boto3.client("s3")
    client.meta.events.register("provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": 2})
    lake = S3LakeStore(client, lake_bucket)
    for n in range(5):
        lake.write(f"lake/x/{n}", b"")
    assert len(client.list_objects_v2(Bucket=lake_bucket)["Contents"]) == 2
    assert lake.list("lake/x/") == [f"lake/x/{n}" for n in range(5)]
