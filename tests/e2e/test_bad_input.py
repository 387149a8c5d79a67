"""Whatever is sent, the answer is a clear problem and never a 500."""

import gzip

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack")]

SECRET, WRITE = "secret_key", "write_key"
RECOMMEND = "/v1/recommendations"


@pytest.mark.parametrize(
    ("method", "path", "key", "body", "status", "code"),
    [
        ("POST", "/v1/batch", WRITE, "{", 400, "malformed-body"),
        ("POST", "/v1/batch", WRITE, "[]", 400, "malformed-body"),
        ("POST", "/v1/batch", WRITE, b"\xff\xfe", 400, "malformed-body"),
        ("POST", "/v1/batch", WRITE, '{"batch": 3}', 400, None),
        ("POST", "/v1/batch", WRITE, '{"batch": [], "x": "' + "y" * 513_000 + '"}', 413, "body-too-large"),
        ("POST", "/v1/batch", None, {"batch": []}, 401, "missing-key"),
        ("POST", "/v1/batch", "wk_nobody", {"batch": []}, 401, "unknown-key"),
        ("POST", RECOMMEND, None, {}, 401, "missing-key"),
        ("POST", RECOMMEND, "sk_nobody", {}, 401, "unknown-key"),
        ("POST", RECOMMEND, SECRET, "nonsense", 400, "malformed-body"),
        ("POST", RECOMMEND, SECRET, {"surface": "moon"}, 400, "invalid-request"),
        ("POST", RECOMMEND, SECRET, {"k": 0}, 400, "invalid-request"),
        ("POST", RECOMMEND, SECRET, {"k": "ten"}, 400, "invalid-request"),
        ("POST", RECOMMEND, SECRET, {"k": 1e400}, 400, None),
        ("POST", RECOMMEND, SECRET, {"user": "u" * 10_000}, 400, "invalid-request"),
        ("POST", RECOMMEND, SECRET, {"user": 7}, 400, "invalid-request"),
        ("POST", RECOMMEND, SECRET, {"surface": "similar"}, 400, "invalid-request"),
        ("POST", RECOMMEND, SECRET, {"surface": "cart", "items": []}, 400, "invalid-request"),
        ("POST", RECOMMEND, SECRET, {"colour": "red"}, 400, "invalid-request"),
        ("PUT", "/v1/items/a", WRITE, {"title": "A"}, 403, "forbidden"),
        ("PUT", "/v1/items/a", SECRET, {"title": "A", "price": -1}, 400, "invalid-request"),
        ("PUT", "/v1/items/a", SECRET, '{"title": "A", "price": NaN}', 400, "malformed-body"),
        ("PUT", "/v1/items/a", SECRET, {"title": "A", "colour": "red"}, 400, "invalid-request"),
        ("PUT", "/v1/items/" + "a" * 1_000, SECRET, {"title": "A"}, 400, "invalid-request"),
        ("GET", "/v1/items/none", SECRET, None, 404, "not-found"),
        ("DELETE", "/v1/items/none", SECRET, None, 404, "not-found"),
        ("GET", "/v1/items?limit=minus", SECRET, None, 400, "invalid-request"),
        ("GET", "/v1/items?cursor=forged", SECRET, None, 400, None),
        ("POST", "/v1/models/none/promote", SECRET, {}, 404, "not-found"),
        ("GET", "/v1/models", WRITE, None, 403, "forbidden"),
    ],
)
def test_a_mistake_is_a_clear_problem(stack, call, method, path, key, body, status, code) -> None:
    if isinstance(body, dict) and body.get("k") == float("inf"):
        body = '{"k": 1e400}'
    answer = call(method, path, stack.keys.get(key, key) if key else None, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert {"type", "title", "status", "detail", "code", "message"} <= problem.keys()
    assert code is None or problem["code"] == code


def test_an_unknown_route_and_method_are_404(call) -> None:
    assert call("GET", "/nowhere").status_code == 404
    assert call("DELETE", "/v1/batch").status_code == 404


def test_a_shop_without_model_or_catalogue_gets_an_empty_list_and_is_told_why(stack, call) -> None:
    keys = stack.invoke("manage", {"command": "create-shop", "shop": "empty"})
    answer = call("POST", RECOMMEND, keys[SECRET], {"user": "u", "surface": "home"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["items"], answer.json()["model_id"]) == ([], None)
    assert "model" in answer.json()["note"]


def test_a_key_in_the_body_and_a_gzip_body_are_taken(stack, call) -> None:
    body = (
        f'{{"writeKey": "{stack.keys[WRITE]}", "batch": [{{"type": "page", "anonymousId": "a", "messageId": "z1"}}]}}'
    )
    answer = call("POST", "/v1/batch", None, gzip.compress(body.encode()), content_encoding="gzip")
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1), answer.text


def test_unknown_fields_are_ignored_on_segments_routes(stack, call) -> None:
    message = {
        "anonymousId": "a",
        "event": "view",
        "messageId": "z2",
        "properties": {"item": "i"},
        "surprise": {"a": 1},
    }
    answer = call("POST", "/v1/track", stack.keys[WRITE], message)
    assert answer.json()["success"] is True
    assert answer.json()["accepted"] == 1


def test_a_browser_may_ask_first(call) -> None:
    answer = call(
        "OPTIONS",
        "/v1/batch",
        origin="https://shop.example",
        access_control_request_method="POST",
        access_control_request_headers="authorization,content-type",
    )
    assert answer.status_code in {200, 204}
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
