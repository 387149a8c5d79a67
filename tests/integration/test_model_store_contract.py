"""Model files, pointers and leases, in memory and on AWS, keep the same promises."""

import pytest
from botocore.exceptions import ClientError

from beckon.artefact.model import MANIFEST, SCORER, Pointer
from beckon.aws import clients
from beckon.aws.leases import DynamoLeases
from beckon.aws.models import S3ModelStore
from tests.learning_shop import MemoryLeases
from tests.ranking_shop import FakeModels

NOW = 1_790_000_000_000
OLD, NEW = "20260101T000000Z-aaaaaaaa", "20260102T000000Z-bbbbbbbb"


@pytest.fixture(params=["memory", "bucket"])
def store(request):
    if request.param == "memory":
        return FakeModels()
    bucket = request.getfixturevalue("model_bucket")
    return S3ModelStore(clients.s3(), bucket)


@pytest.fixture(params=["memory", "table"])
def leases(request):
    if request.param == "memory":
        return MemoryLeases()
    table = request.getfixturevalue("table")
    return DynamoLeases(clients.dynamodb(), table)


def test_a_shop_without_models_has_no_pointer(store) -> None:
    assert store.pointer("north") is None
    assert store.models("north") == []


def test_the_pointer_is_what_was_put_there(store) -> None:
    assert store.move("north", Pointer(NEW, NOW, OLD, pinned=True), None)
    found = store.pointer("north")
    assert (found.model_id, found.moved, found.previous, found.pinned) == (NEW, NOW, OLD, True)
    assert found.etag
    assert store.pointer("south") is None


def test_a_pointer_that_did_not_move_is_not_read_again(store) -> None:
    store.move("north", Pointer(OLD, NOW), None)
    etag = store.pointer("north").etag
    assert store.pointer("north", etag) is None
    store.move("north", Pointer(NEW, NOW), etag)
    assert store.pointer("north", etag).model_id == NEW


def test_the_pointer_moves_only_from_where_it_was_read(store) -> None:
    assert store.move("north", Pointer(OLD, NOW), None)
    assert not store.move("north", Pointer(NEW, NOW), None)  # somebody was first
    first = store.pointer("north").etag
    assert store.move("north", Pointer(NEW, NOW, OLD), first)
    assert not store.move("north", Pointer(OLD, NOW), first)
    assert store.pointer("north").model_id == NEW


def test_a_pointer_cannot_be_moved_from_where_none_is(store) -> None:
    store.move("south", Pointer(OLD, NOW), None)
    etag = store.pointer("south").etag
    assert not store.move("north", Pointer(NEW, NOW), etag)


def test_a_file_is_read_as_written_and_a_missing_one_is_not_found(store) -> None:
    store.write("north", NEW, SCORER, b"\x00graph")
    store.write("north", NEW, SCORER, b"\x01graph")
    assert store.read("north", NEW, SCORER) == b"\x01graph"
    for place in (("north", OLD, SCORER), ("north", NEW, MANIFEST), ("south", NEW, SCORER)):
        with pytest.raises(FileNotFoundError):
            store.read(*place)


def test_only_models_with_a_manifest_are_listed_newest_first(store) -> None:
    for model_id in (OLD, NEW):
        store.write("north", model_id, MANIFEST, b"{}")
    store.write("north", "20260103T000000Z-cccccccc", SCORER, b"half a model")
    store.write("northern", "20260104T000000Z-dddddddd", MANIFEST, b"{}")
    store.move("north", Pointer(OLD, NOW), None)
    assert store.models("north") == [NEW, OLD]


def test_files_are_listed_with_their_time_and_removed_one_by_one(store) -> None:
    for shop, model_id, name in (("north", OLD, SCORER), ("north", OLD, MANIFEST), ("northern", OLD, SCORER)):
        store.write(shop, model_id, name, b"x")
    store.write("north", "state", "abc", b"y")
    store.move("north", Pointer(OLD, NOW), None)
    found = {(one.model_id, one.name): one.modified for one in store.files("north")}
    assert set(found) == {(OLD, SCORER), (OLD, MANIFEST), ("state", "abc")}
    assert all(one > 1_700_000_000_000 for one in found.values())
    store.delete("north", OLD, MANIFEST)
    store.delete("north", OLD, MANIFEST)
    assert store.models("north") == []
    assert {(one.model_id, one.name) for one in store.files("north")} == {(OLD, SCORER), ("state", "abc")}
    assert len(list(store.files("northern"))) == 1


@pytest.mark.usefixtures("aws")
def test_a_fault_of_the_bucket_raises() -> None:
    nowhere = S3ModelStore(clients.s3(), "no-such-bucket")
    for ask in (
        lambda: nowhere.pointer("north"),
        lambda: nowhere.read("north", NEW, SCORER),
        lambda: nowhere.write("north", NEW, SCORER, b""),
        lambda: nowhere.move("north", Pointer(NEW, NOW), None),
        lambda: nowhere.models("north"),
        lambda: nowhere.delete("north", NEW, SCORER),
    ):
        with pytest.raises(ClientError):
            ask()


def test_a_lease_is_one_owners_until_it_ends(leases) -> None:
    assert leases.take("north", "run-1", NOW, NOW + 100)
    assert not leases.take("north", "run-2", NOW + 50, NOW + 500)
    assert leases.take("south", "run-2", NOW + 50, NOW + 500)
    assert not leases.take("north", "run-2", NOW + 100, NOW + 500)
    assert leases.take("north", "run-2", NOW + 101, NOW + 500)
    assert not leases.take("north", "run-1", NOW + 102, NOW + 500)


def test_the_same_run_retried_takes_its_lease_again(leases) -> None:
    assert leases.take("north", "run-1", NOW, NOW + 100)
    assert leases.take("north", "run-1", NOW + 10, NOW + 200)
    assert not leases.take("north", "run-2", NOW + 150, NOW + 500)


def test_a_lease_is_ended_by_its_owner_alone(leases) -> None:
    leases.take("north", "run-1", NOW, NOW + 100)
    leases.release("north", "run-2")
    assert not leases.take("north", "run-2", NOW, NOW + 100)
    leases.release("north", "run-1")
    leases.release("north", "run-1")
    assert leases.take("north", "run-2", NOW, NOW + 100)
