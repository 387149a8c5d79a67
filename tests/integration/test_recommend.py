"""The recommend function, whole: its handler, the table and the bucket in moto, and a real graph in onnxruntime."""

import json
import random
import time
from types import SimpleNamespace

import jwt
import pytest
from botocore.exceptions import ClientError

from beckon.access.shops import Shops
from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.aws.events import DynamoEventLog
from beckon.aws.exposures import DynamoExposures
from beckon.aws.keys import DynamoKeys
from beckon.aws.models import S3ModelStore
from beckon.catalog.model import Item
from beckon.ranking.loading import load
from beckon.ranking.models import CHECK_MS, Models
from beckon.ranking.scorer import BrokenModel, OnnxScorer
from beckon.values import DAY_MS, stranger_key, user_key
from tests.ranking_graph import graph
from tests.ranking_shop import BREAKS, NOW, PRIOR, SHOP, TREND, AtOnce, NumpyScorer, event, point, write_model

OTHER = "south"
GRAPH = graph()
NEWER = NumpyScorer(prior=PRIOR[::-1])


@pytest.fixture
def store(model_bucket: str) -> S3ModelStore:
    return S3ModelStore(clients.s3(), model_bucket)


@pytest.fixture
def world(function, environment, context, monkeypatch: pytest.MonkeyPatch):
    """Two shops with keys and a model each, a clock that stands still, and a way to ask."""
    settings = environment("recommend")
    app = function("recommend")
    table, master = settings["BECKON_TABLE"], clients.secret(settings["BECKON_SECRET"])
    store = S3ModelStore(clients.s3(), settings["BECKON_MODEL_BUCKET"])
    shops = Shops(DynamoKeys(clients.dynamodb(), table), master, random.Random(3).randbytes)
    world = SimpleNamespace(now=NOW, table=table, store=store, app=app)
    world.keys = {shop: shops.create(shop, NOW) for shop in (SHOP, OTHER, "empty")}
    for shop in (SHOP, OTHER):
        write_model(store, "m1", shop=shop, graph=GRAPH)
        point(store, "m1", shop=shop)
    monkeypatch.setattr(app, "now_ms", lambda: world.now)

    def ask(key: str | None = "secret_key", shop: str = SHOP, **body):
        headers = {} if key is None else {"authorization": f"Bearer {world.keys[shop][key]}"}
        http = {"method": "POST", "path": "/v1/recommendations", "sourceIp": "192.0.2.1"}
        request = {
            "version": "2.0",
            "routeKey": "POST /v1/recommendations",
            "rawPath": http["path"],
            "rawQueryString": "",
            "headers": headers,
            "requestContext": {"http": http, "stage": "$default"},
            "body": json.dumps(body),
            "isBase64Encoded": False,
        }
        answer = app.handler(request, context)
        return SimpleNamespace(**json.loads(answer["body"]) | {"status": answer["statusCode"]})

    def did(*events, shop: str = SHOP) -> None:
        log = DynamoEventLog(clients.dynamodb(), table, 180)
        for one in events:
            assert log.append(one)

    world.ask, world.did = ask, did
    world.key_of = lambda name, identity="user", shop=SHOP: user_key(master, shop, identity, name)
    return world


def names(answer) -> list[str]:
    return [one["id"] for one in answer.items]


def reasons(answer) -> set[tuple[str, str | None]]:
    return {(r["kind"], r.get("item")) for one in answer.items for r in one["reasons"]}


def test_a_click_changes_the_very_next_list(world) -> None:
    assert names(world.ask(user="ann"))[0] == "coat"
    world.did(event("cap", "click", ago=0, user=world.key_of("ann")))
    answer = world.ask(user="ann", k=2)
    assert names(answer) == ["scarf", "coat"]
    assert ("history", "cap") in reasons(answer)
    for one in answer.items:
        assert sum(r["part"] for r in one["reasons"]) == pytest.approx(one["score"], abs=1e-5)
    assert (answer.status, answer.model_id, answer.surface, answer.variant) == (200, "m1", "home", None)


def test_every_surface_answers(world) -> None:
    world.did(event("cap", user=world.key_of("ann")))
    assert names(world.ask("write_key")) == names(world.ask(surface="trending", user="ann")) == TREND
    assert names(world.ask("write_key", surface="similar", item="boot", k=1)) == ["sock"]
    assert names(world.ask("write_key", surface="cart", items=["cap", "coat"], k=1)) == ["scarf"]
    assert names(world.ask(surface="rerank", items=["sofa", "boot", "scarf", "boot"], user="ann")) == [
        "scarf",
        "boot",
        "sofa",
    ]
    assert "sofa" in world.ask(surface="similar", item="sofa").note


def test_what_was_served_is_in_the_table_before_the_answer(world) -> None:
    known, stranger = world.ask(user="ann", k=3), world.ask("write_key")
    window = DynamoExposures(clients.dynamodb(), world.table, kept_ms=DAY_MS).window
    (kept,) = window(SHOP, [world.key_of("ann")], NOW, NOW)
    assert (kept.rec_id, kept.surface, kept.policy, kept.model_id) == (known.rec_id, "home", "trending", "m1")
    assert [(slot.item, slot.position) for slot in kept.slots] == [("coat", 1), ("sock", 2), ("boot", 3)]
    (kept,) = window(SHOP, [stranger_key(SHOP, stranger.rec_id)], NOW, NOW)
    assert kept.rec_id == stranger.rec_id
    assert len(stranger.rec_id) <= 40


def test_a_list_that_cannot_be_kept_is_not_given(world, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(*_: object) -> None:
        raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "PutItem")

    monkeypatch.setattr(DynamoExposures, "log", throttled)
    answer = world.ask(user="ann")
    assert (answer.status, answer.code) == (503, "unavailable")
    assert not isinstance(answer.__dict__.get("items"), list)


def test_a_write_key_reads_a_named_users_list_only_with_that_users_token(world) -> None:
    world.did(event("cap", user=world.key_of("ann")))

    def token(user: str, shop: str = SHOP) -> str:
        keys, claims = world.keys[shop], {"sub": user, "exp": NOW // 1000 + 3_600}
        return jwt.encode(claims, keys["secret_access_key"], "HS256", headers={"kid": keys["access_key_id"]})

    assert (world.ask("write_key", user="ann").status, world.ask("write_key", user="ann").code) == (403, "forbidden")
    for wrong in (token("bob"), token("ann", OTHER), token("ann")[:-3] + "abc", "nonsense"):
        answer = world.ask("write_key", user="ann", user_token=wrong)
        assert (answer.status, answer.code) == (403, "bad-user-token")
    assert ("history", "cap") in reasons(world.ask("write_key", user="ann", user_token=token("ann")))
    assert reasons(world.ask("write_key", anonymous_id="ann")) == {("prior", None)}
    assert world.ask(None, user="ann").status == 401


def test_a_write_key_reads_the_anonymous_visitors_own_history(world) -> None:
    world.did(event("cap", user=world.key_of("v1", "anonymous")))
    assert names(world.ask("write_key", anonymous_id="v1"))[0] == "scarf"
    assert names(world.ask(user="new", anonymous_id="v1"))[0] == "scarf"


def test_two_shops_are_blind_to_each_other(world) -> None:
    world.did(event("cap", user=world.key_of("ann")))
    DynamoCatalogue(clients.dynamodb(), world.table).put([Item(OTHER, "coat", "Coat", NOW - 1, available=False)])
    assert reasons(world.ask(shop=OTHER, user="ann")) == {("prior", None)}
    assert "coat" in names(world.ask(user="ann"))
    assert "coat" not in names(world.ask(shop=OTHER, user="ann"))


def test_a_change_of_the_catalogue_is_in_the_next_list(world) -> None:
    catalogue = DynamoCatalogue(clients.dynamodb(), world.table)
    world.did(event("boot", user=world.key_of("ann")))
    assert names(world.ask(user="ann"))[0] == "sock"
    catalogue.put([Item(SHOP, "sock", "Sock", NOW - 9, available=False)])
    catalogue.put([Item(SHOP, "sandal", "Sandal", NOW - 8, categories=("feet",))])
    assert names(world.ask(user="ann", exclude=["glove", "boot"]))[0] == "sandal"
    catalogue.put([Item(SHOP, "sock", "Sock", NOW, available=True)])
    assert catalogue.delete(SHOP, "sandal", NOW)
    assert names(world.ask(user="ann"))[0] == "sock"
    assert "sandal" not in names(world.ask(user="ann"))


def test_a_shop_without_a_model_gets_an_empty_list_and_is_told_what_to_do(world) -> None:
    answer = world.ask(shop="empty", user="ann")
    assert (answer.status, answer.items, answer.model_id) == (200, [], None)
    assert "run retrain" in answer.note


@pytest.mark.parametrize(
    ("body", "field"), [({"colour": "red"}, "colour"), ({"surface": "search"}, "surface"), ({"k": 0}, "k")]
)
def test_a_mistake_is_a_problem_that_names_the_field(world, body: dict, field: str) -> None:
    answer = world.ask(**body)
    assert (answer.status, answer.code, answer.field) == (400, "invalid-request", field)


def test_the_log_line_says_what_was_done_and_nothing_of_the_person(world, capsys) -> None:
    world.did(event("cap", user=world.key_of("ann-the-user")))
    world.ask(user="ann-the-user", k=3)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["model_id"], found["surface"], found["items"], found["history"]) == ("m1", "home", 3, 1)
    assert {"ms_model", "ms_gather", "ms_rank", "ms_exposure", "ms", "cold"} <= set(found)
    assert "ann" not in line
    assert world.key_of("ann-the-user") not in line
    assert "shop" not in found


def test_a_new_model_takes_over_while_the_old_one_answers(world) -> None:
    assert world.ask().model_id == "m1"
    write_model(world.store, "m2", graph=graph(PRIOR[::-1]), scorer=NEWER)
    point(world.store, "m2", previous="m1")
    assert world.ask().model_id == "m1"
    world.now += CHECK_MS
    deadline = time.monotonic() + 30
    while (answer := world.ask()).model_id == "m1":
        assert time.monotonic() < deadline
        assert names(answer) == TREND
    assert names(answer)[0] == "glove"


@pytest.mark.parametrize("broken", [*BREAKS, "corrupt graph"])
def test_a_broken_model_in_the_bucket_never_serves(store: S3ModelStore, broken: str) -> None:
    write_model(store, "m1", graph=GRAPH)
    point(store, "m1")
    models = Models(store, OnnxScorer.open, AtOnce(), 10**9)
    models.current(SHOP, NOW)
    write_model(store, "m2", graph=GRAPH, broken=broken)
    point(store, "m2", previous="m1")
    for held in (models, Models(store, OnnxScorer.open, AtOnce(), 10**9)):
        model, report = held.current(SHOP, NOW + CHECK_MS)
        assert model is not None
        assert model.model_id == "m1"
        assert report["model_refused"].startswith("m2: ")
    with pytest.raises(BrokenModel):
        load(store, OnnxScorer.open, SHOP, "m2")
