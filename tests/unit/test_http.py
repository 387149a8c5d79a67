import base64
import gzip
import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from beckon.aws import http
from beckon.values import Refused


def request(body="", *, encoded=False, headers=None):
    return SimpleNamespace(raw_event={"body": body, "isBase64Encoded": encoded}, headers=headers or {})


def routed(method="GET", path="/x", **more):
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "isBase64Encoded": False,
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        **more,
    }


def served(route, context):
    app = http.resolver()
    app.get("/x")(route)
    answer = http.serve("test", app, routed(), context)
    return answer, json.loads(answer["body"])


def test_a_gzip_body_arrives_base64_and_is_inflated() -> None:
    body = base64.b64encode(gzip.compress(b'{"a": 1}')).decode()
    assert http.json_body(request(body, encoded=True, headers={"content-encoding": "gzip"})) == {"a": 1}


def test_a_bomb_is_inflated_no_further_than_the_limit() -> None:
    bomb = base64.b64encode(gzip.compress(b" " * 50_000_000)).decode()
    with pytest.raises(Refused, match="larger than") as caught:
        http.json_body(request(bomb, encoded=True, headers={"content-encoding": "gzip"}))
    assert caught.value.code == "body-too-large"


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert http.body_bytes(request("x" * 10), limit=10) == b"x" * 10
    packed = base64.b64encode(gzip.compress(b"x" * 10)).decode()
    assert http.body_bytes(request(packed, encoded=True, headers={"content-encoding": "gzip"}), limit=10) == b"x" * 10


@pytest.mark.parametrize(
    ("body", "encoded", "headers"),
    [
        ("{", False, {}),
        ("", False, {}),
        ("[1]", False, {}),
        ('{"a": NaN}', False, {}),
        (base64.b64encode(b'{"a": "\xff"}').decode(), True, {}),
        ("not base64!", True, {}),
        (base64.b64encode(b"plain").decode(), True, {"content-encoding": "gzip"}),
        (base64.b64encode(gzip.compress(b'{"a": 1}', mtime=0)[:-9]).decode(), True, {"content-encoding": "gzip"}),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_by_name(body, encoded, headers) -> None:
    with pytest.raises(Refused) as caught:
        http.json_body(request(body, encoded=encoded, headers=headers))
    assert caught.value.code == "malformed-body"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic " + base64.b64encode(b"wk_1:").decode(), "wk_1"),
        ("basic " + base64.b64encode(b"wk_1").decode(), "wk_1"),
        ("Bearer sk_2", "sk_2"),
        ("Basic " + base64.b64encode(b":").decode(), None),
        ("Basic ???", None),
        ("Basic " + base64.b64encode(b"\xff:").decode(), None),
        ("Digest x", None),
        ("", None),
    ],
)
def test_the_key_is_the_basic_user_name_or_the_bearer_token(header, expected) -> None:
    assert http.presented_key(request(headers={"authorization": header})) == expected


def test_the_first_wrong_field_is_named() -> None:
    class Model(BaseModel):
        model_config = ConfigDict(extra="forbid")
        k: int

    with pytest.raises(Refused, match=r"k: .*integer.*\(and 1 more\)") as caught:
        http.parse(Model, {"k": "x", "z": 1})
    assert (caught.value.code, caught.value.field) == ("invalid-request", "k")


def test_a_mistake_is_answered_as_a_problem_that_segments_sdks_can_read_too(context) -> None:
    def route():
        raise Refused("unknown-key", "no such key", "writeKey")

    answer, body = served(route, context)
    assert answer["statusCode"] == 401
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert body == {
        "type": "https://beckon.dev/problems/unknown-key",
        "title": "Unauthorized",
        "status": 401,
        "detail": "no such key",
        "code": "unknown-key",
        "message": "no such key",
        "field": "writeKey",
    }


def test_a_busy_table_is_503_with_retry_after(context) -> None:
    def route():
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "PutItem")

    answer, body = served(route, context)
    assert (answer["statusCode"], answer["headers"]["Retry-After"], body["code"]) == (503, "2", "unavailable")


def test_any_other_fault_of_aws_raises_so_that_it_is_seen(context) -> None:
    def route():
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutItem")

    with pytest.raises(ClientError):
        served(route, context)


def test_an_unknown_route_is_a_problem(context) -> None:
    answer = http.serve("test", http.resolver(), routed(path="/nowhere"), context)
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["code"] == "not-found"


def test_one_log_line_a_request_says_what_happened(context, capsys) -> None:
    def route():
        raise Refused("not-found", "secret detail")

    served(route, context)
    [line] = capsys.readouterr().out.splitlines()
    logged = json.loads(line)
    assert (logged["function"], logged["route"], logged["status"]) == ("test", "GET /x", 404)
    assert "secret detail" not in line
