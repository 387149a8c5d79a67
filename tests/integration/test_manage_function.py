"""manage: a shop's catalogue and models by HTTP API events, the operator's commands by direct invocation."""

import base64
import gzip
import json
from urllib.parse import unquote

import orjson
import pytest
from botocore.exceptions import ClientError

from beckon.artefact.model import Manifest, Serving
from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.aws.models import S3ModelStore
from tests.faulty import Failing, cancelled

BOOT = {"title": "Boot", "price": 19.99, "currency": "EUR", "categories": ["winter"]}


@pytest.fixture
def manage(table, model_bucket, function):  # in this order: the function's own environment is the one that stays
    return function("manage")


@pytest.fixture
def call(manage, context):
    """Call a route as an HTTP API does: the path and its parameters arrive decoded."""

    def caller(method, path, body=None, *, key=None, query=None, headers=None, encoded=False):
        route, given = path, {}
        for template, name in (("/v1/items/", "id"), ("/v1/models/", "id")):
            if path.startswith(template):
                rest, slash, tail = path.removeprefix(template).partition("/")
                route, given = f"{template}{{{name}}}{slash}{tail}", {name: unquote(rest)}
        raw = body if isinstance(body, str | None) else orjson.dumps(body).decode()
        headers = {} if headers is None else headers
        if key is not None:
            headers["authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        event = {
            "version": "2.0",
            "routeKey": f"{method} {route}",
            "rawPath": unquote(path),
            "rawQueryString": "",
            "headers": headers,
            "isBase64Encoded": encoded,
            "requestContext": {"http": {"method": method, "path": unquote(path)}, "stage": "$default"},
        }
        if given:
            event["pathParameters"] = given
        if query is not None:
            event["queryStringParameters"] = query
        if raw is not None:
            event["body"] = raw
        answer = manage.handler(event, context)
        return answer["statusCode"], json.loads(answer["body"])

    return caller


@pytest.fixture
def command(manage, context):
    return lambda **event: manage.handler(event, context)


@pytest.fixture
def shoes(command):
    return command(command="create-shop", shop="shoes")


@pytest.fixture
def hats(command):
    return command(command="create-shop", shop="hats")


def test_health_needs_no_key(call) -> None:
    status, body = call("GET", "/healthz")
    assert (status, body["status"]) == (200, "ok")


def test_an_item_is_put_read_changed_and_deleted(call, shoes) -> None:
    key = shoes["secret_key"]
    assert call("PUT", "/v1/items/boot", BOOT, key=key) == (200, {"id": "boot", "changed": True})
    assert call("PUT", "/v1/items/boot", BOOT, key=key) == (200, {"id": "boot", "changed": False})
    status, item = call("GET", "/v1/items/boot", key=key)
    assert status == 200
    assert item.pop("updated") > 1_700_000_000_000
    assert item == {"id": "boot", "available": True, **BOOT}
    assert call("PUT", "/v1/items/boot", BOOT | {"available": False}, key=key)[1]["changed"]
    assert call("GET", "/v1/items/boot", key=key)[1]["available"] is False
    assert call("DELETE", "/v1/items/boot", key=key)[0] == 200
    for method in ("GET", "DELETE"):
        status, problem = call(method, "/v1/items/boot", key=key)
        assert (status, problem["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    "name",
    ["a%2Fb", "100%25", "a%2Bb+c", "%C3%A9t%C3%A9", "a%20b", "a%23b%26c", "..", "%22%5C%7B%7D", "%257B", "x" * 256],
)
def test_an_id_in_the_path_is_decoded_once(call, shoes, name) -> None:
    key, plain = shoes["secret_key"], unquote(name)
    assert call("PUT", f"/v1/items/{name}", BOOT, key=key) == (200, {"id": plain, "changed": True})
    assert call("GET", f"/v1/items/{name}", key=key)[1]["id"] == plain
    assert [one["id"] for one in call("GET", "/v1/items", key=key)[1]["items"]] == [plain]
    assert call("DELETE", f"/v1/items/{name}", key=key)[0] == 200


@pytest.mark.parametrize("name", ["x" * 257, "%20"])
def test_an_id_that_cannot_be_one_is_refused(call, shoes, name) -> None:
    status, problem = call("PUT", f"/v1/items/{name}", BOOT, key=shoes["secret_key"])
    assert (status, problem["code"], problem["field"]) == (400, "invalid-request", "id")


def test_a_bad_item_costs_no_other(call, shoes) -> None:
    key = shoes["secret_key"]
    sent = [
        {"id": "boot"} | BOOT,
        {"id": "bad", "title": "x", "price": -1},
        7,
        {"title": "x"},
        {"id": "sock", "title": "Sock"},
    ]
    status, body = call("POST", "/v1/items", {"items": sent}, key=key)
    assert (status, body["accepted"]) == (200, 2)
    assert [(one["index"], one["id"], one["code"], one["field"]) for one in body["rejected"]] == [
        (1, "bad", "invalid-request", "price"),
        (2, None, "invalid-request", None),
        (3, None, "invalid-request", "id"),
    ]
    assert all(one["detail"] for one in body["rejected"])
    assert {one["id"] for one in call("GET", "/v1/items", key=key)[1]["items"]} == {"boot", "sock"}


def test_five_hundred_items_go_in_one_request_and_no_more(call, shoes) -> None:
    key = shoes["secret_key"]
    items = [{"id": str(n), "title": f"Item {n}", "description": "d" * 2_000} for n in range(500)]
    assert call("POST", "/v1/items", {"items": items}, key=key) == (200, {"accepted": 500, "rejected": []})
    status, problem = call("POST", "/v1/items", {"items": [*items, {"id": "one more", "title": "x"}]}, key=key)
    assert (status, problem["field"]) == (400, "items")
    seen, cursor = [], None
    while True:
        query = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        _, page = call("GET", "/v1/items", key=key, query=query)
        seen += [one["id"] for one in page["items"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(str(n) for n in range(500))


def test_a_compressed_body_is_read(call, shoes) -> None:
    body = base64.b64encode(gzip.compress(orjson.dumps({"items": [{"id": "boot"} | BOOT]}))).decode()
    headers = {"content-encoding": "gzip"}
    answer = call("POST", "/v1/items", body, key=shoes["secret_key"], headers=headers, encoded=True)
    assert answer == (200, {"accepted": 1, "rejected": []})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (None, 400, "malformed-body"),
        ("{", 400, "malformed-body"),
        ("[]", 400, "malformed-body"),
        ('{"title": NaN}', 400, "malformed-body"),
        ("{}", 400, "invalid-request"),
        ({"title": "Boot", "price": "much"}, 400, "invalid-request"),
        ({"title": "Boot", "colour": "red"}, 400, "invalid-request"),
        ({"title": "Boot", "description": "x" * 600_000}, 413, "body-too-large"),
        ('{"title": ' + "[" * 2_000 + "]" * 2_000 + "}", 400, "malformed-body"),
        ('{"title": "\\ud800"}', 400, "malformed-body"),
        ('{"title": "Boot", "price": 1e999}', 400, None),
    ],
)
def test_a_bad_body_is_a_clear_problem(call, shoes, body, status, code) -> None:
    got, problem = call("PUT", "/v1/items/boot", body, key=shoes["secret_key"])
    assert got == status
    assert problem["code"] == (code or problem["code"])
    assert problem["type"].endswith(problem["code"])
    assert problem["detail"]


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "all"}, {"cursor": "abc"}, {"cursor": "é"}, {"offset": "3"}]
)
def test_a_bad_query_is_a_clear_problem(call, shoes, query) -> None:
    status, problem = call("GET", "/v1/items", key=shoes["secret_key"], query=query)
    assert (status, problem["field"]) == (400, next(iter(query)))


ROUTES = [
    ("PUT", "/v1/items/boot", BOOT),
    ("GET", "/v1/items/boot", None),
    ("DELETE", "/v1/items/boot", None),
    ("GET", "/v1/items", None),
    ("POST", "/v1/items", {"items": []}),
    ("GET", "/v1/models", None),
    ("POST", "/v1/models/m1/promote", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_every_route_needs_the_secret_key(call, shoes, method, path, body) -> None:
    assert call(method, path, body)[0] == 401
    assert call(method, path, body, key="sk_guess")[0] == 401
    assert call(method, path, body, key=shoes["access_key_id"])[0] == 401
    status, problem = call(method, path, body, key=shoes["write_key"])
    assert (status, problem["code"]) == (403, "forbidden")


def test_a_bearer_token_does_as_well(call, shoes) -> None:
    headers = {"authorization": f"Bearer {shoes['secret_key']}"}
    assert call("GET", "/v1/items", headers=headers)[0] == 200


def test_two_shops_are_blind_to_each_other(call, shoes, hats, model_bucket) -> None:
    mine, theirs = shoes["secret_key"], hats["secret_key"]
    call("POST", "/v1/items", {"items": [{"id": str(n), "title": "Boot"} for n in range(3)]}, key=mine)
    model(model_bucket, "20260101T000000", shop="shoes")
    assert call("GET", "/v1/items/1", key=theirs)[0] == 404
    assert call("DELETE", "/v1/items/1", key=theirs)[0] == 404
    assert call("GET", "/v1/items", key=theirs)[1] == {"items": [], "cursor": None}
    _, page = call("GET", "/v1/items", key=mine, query={"limit": "1"})
    assert call("GET", "/v1/items", key=theirs, query={"cursor": page["cursor"]})[0] == 400
    call("PUT", "/v1/items/1", {"title": "Hat"}, key=theirs)
    assert call("GET", "/v1/items/1", key=mine)[1]["title"] == "Boot"
    assert call("GET", "/v1/models", key=theirs)[1]["models"] == []
    assert call("POST", "/v1/models/20260101T000000/promote", key=theirs)[0] == 404


def model(bucket, model_id, shop="shoes"):
    serving = Serving(20, 0.9, {"click": 1.0}, 8, exclude_seen=False)
    manifest = Manifest(
        model_id,
        shop,
        1_790_000_000_000,
        "0.1.0",
        serving,
        {"report.html": "ab"},
        (),
        metrics={"recall_at_10": 0.31},
        lineage={"parent": "20251231T000000"},
    )
    S3ModelStore(clients.s3(), bucket).write(shop, model_id, "manifest.json", orjson.dumps(manifest.to_record()))


def test_a_shop_without_a_model_has_an_empty_list(call, shoes) -> None:
    assert call("GET", "/v1/models", key=shoes["secret_key"]) == (200, {"models": [], "current": None, "pinned": False})


def test_models_are_listed_newest_first_and_moved_by_hand(call, shoes, model_bucket) -> None:
    key = shoes["secret_key"]
    old, new = "20260101T000000", "20260102T000000"
    model(model_bucket, old)
    model(model_bucket, new)
    assert call("POST", f"/v1/models/{new}/promote", key=key) == (
        200,
        {"current": new, "previous": None, "pinned": False},
    )
    assert call("POST", f"/v1/models/{old}/promote", key=key)[1] == {"current": old, "previous": new, "pinned": True}
    status, listed = call("GET", "/v1/models", key=key)
    assert (status, listed["current"], listed["pinned"]) == (200, old, True)
    assert [(one["id"], one["current"], one["pinned"], one["metrics"]) for one in listed["models"]] == [
        (new, False, False, {"recall_at_10": 0.31}),
        (old, True, True, {"recall_at_10": 0.31}),
    ]
    assert listed["models"][0]["lineage"] == {"parent": "20251231T000000"}
    assert listed["models"][0]["report"] == f"models/shoes/{new}/report.html"
    assert call("POST", f"/v1/models/{old}/promote", {"pin": False}, key=key)[1]["pinned"] is False
    assert call("POST", f"/v1/models/{new}/promote", {"pin": True}, key=key)[1]["pinned"] is True


@pytest.mark.parametrize("name", ["never", "..%2Fhats%2F20260101T000000", "current.json"])
def test_a_model_that_is_not_there_cannot_serve(call, shoes, hats, model_bucket, name) -> None:
    model(model_bucket, "20260101T000000", shop="hats")
    assert call("POST", f"/v1/models/{name}/promote", key=shoes["secret_key"])[0] == 404
    assert call("GET", "/v1/models", key=shoes["secret_key"])[1]["current"] is None


@pytest.mark.parametrize("body", [{"pin": "yes"}, {"pinned": True}])
def test_a_bad_promotion_is_refused(call, shoes, model_bucket, body) -> None:
    model(model_bucket, "20260101T000000")
    assert call("POST", "/v1/models/20260101T000000/promote", body, key=shoes["secret_key"])[0] == 400


def test_a_throttled_table_is_told_as_busy_and_nothing_is_half_done(call, shoes, manage, monkeypatch, table) -> None:
    call("GET", "/v1/items", key=shoes["secret_key"])  # the key is known now
    throttled = ClientError({"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}}, "Query")
    faults = {"transact_write_items": [throttled], "batch_get_item": [throttled]}
    for operation, planned in faults.items():
        failing = DynamoCatalogue(Failing(clients.dynamodb(), operation, planned), table)
        monkeypatch.setattr(manage.items, "catalogue", lambda failing=failing: failing)
        status, problem = call("PUT", "/v1/items/boot", BOOT, key=shoes["secret_key"])
        assert (status, problem["code"]) == (503, "unavailable")
        assert call("GET", "/v1/items/boot", key=shoes["secret_key"])[0] == 404
    lasting = [cancelled("TransactionConflict", "None", "None")] * 9
    failing = DynamoCatalogue(Failing(clients.dynamodb(), "transact_write_items", lasting), table)
    monkeypatch.setattr(manage.items, "catalogue", lambda: failing)
    assert call("PUT", "/v1/items/boot", BOOT, key=shoes["secret_key"])[0] == 503


def test_an_unknown_route_is_a_problem_that_names_it(call) -> None:
    status, problem = call("GET", "/v1/nothing")
    assert (status, problem["code"]) == (404, "not-found")
    assert "/v1/nothing" in problem["detail"]
    assert "openapi" not in problem["detail"]


def test_a_shop_is_made_with_keys_that_work_at_once(call, command, shoes) -> None:
    assert set(shoes) == {"shop", "write_key", "secret_key", "access_key_id", "secret_access_key"}
    assert call("GET", "/v1/items", key=shoes["secret_key"])[0] == 200
    assert command(command="create-shop", shop="shoes")["error"]["code"] == "conflict"
    assert call("GET", "/v1/items", key=shoes["secret_key"])[0] == 200
    assert command(command="list-shops") == {"shops": ["shoes"]}


def test_keys_are_made_listed_and_revoked(call, command, shoes) -> None:
    made = command(command="create-key", shop="shoes", kind="secret")
    assert call("GET", "/v1/items", key=made["secret_key"])[0] == 200
    listed = command(command="list-keys", shop="shoes")["keys"]
    assert sorted(one["kind"] for one in listed) == ["access", "secret", "secret", "write"]
    unused = command(command="create-key", shop="shoes", kind="secret")
    assert command(command="revoke-key", shop="shoes", key=unused["key_id"]) == {
        "shop": "shoes",
        "revoked": unused["key_id"],
    }
    assert call("GET", "/v1/items", key=unused["secret_key"])[0] == 401


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"command": "drop-shop", "shop": "shoes"},
        {"command": "create-shop"},
        {"command": "create-shop", "shop": 7},
        {"command": "create-shop", "shop": "a", "shops": "b"},
        {"command": "create-key", "shop": "shoes"},
        {"command": "list-shops", "shop": "shoes"},
        {"command": None},
        {"command": ["create-shop"]},
    ],
)
def test_what_is_no_command_hears_which_there_are(command, event) -> None:
    error = command(**event)["error"]
    assert (error["status"], error["code"]) == (400, "invalid-request")
    assert "create-shop" in error["detail"]
    assert command(command="list-shops") == {"shops": []}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"command": "create-shop", "shop": "Big Shop"}, "bad-shop"),
        ({"command": "create-key", "shop": "nobody", "kind": "write"}, "not-found"),
        ({"command": "create-key", "shop": "shoes", "kind": "admin"}, "invalid-request"),
        ({"command": "revoke-key", "shop": "shoes", "key": "wk_guess"}, "not-found"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(command, shoes, event, code) -> None:
    assert command(**event)["error"]["code"] == code


def test_no_key_and_no_secret_is_at_rest_or_in_the_log(command, call, shoes, table, capsys) -> None:
    extra = command(command="create-key", shop="shoes", kind="access")
    call("PUT", "/v1/items/boot", BOOT, key=shoes["secret_key"])
    command(command="revoke-key", shop="shoes", key=shoes["write_key"])
    kept = json.dumps(clients.dynamodb().scan(TableName=table)["Items"])
    said = capsys.readouterr().out
    hidden = [shoes["write_key"], shoes["secret_key"], shoes["secret_access_key"], extra["secret_access_key"]]
    assert all(text not in kept and text not in said for text in hidden)
    assert shoes["access_key_id"] in kept
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line.get("command") or line.get("route") for line in lines][-3:] == [
        "create-key",
        "PUT /v1/items/{id}",
        "revoke-key",
    ]
