"""What the shop's server may read of one person over HTTP, and nobody else."""

import time
from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack")]

ANN = "ann 50% off@example.org"  # no slash: an HTTP API decodes a path before it looks for the route
PATH = f"/v1/users/{quote(ANN, safe='')}/profile"


def now() -> int:
    return int(time.time() * 1000)


def track(event: str, message_id: str, item: str, *, who=None, ago: int = 60_000, **properties):
    return {
        "type": "track",
        "event": event,
        "messageId": message_id,
        "timestamp": now() - ago,
        "context": {"locale": "fr-CH"},
        "properties": {"item": item} | properties,
    } | (who or {"userId": ANN})


@pytest.fixture(scope="module")
def shops(stack, call):
    """Two shops that both know an Ann, who wants other things in each."""
    keys = {name: stack.create_shop(name) for name in ("profile-a", "profile-b")}
    for own, stem in zip(keys.values(), ("a", "b"), strict=True):
        items = [
            {"id": f"{stem}{n}", "title": f"Thing {n}", "categories": [f"{stem}-{n % 2}"], "price": 10.0 * (n + 1)}
            | {"currency": "EUR", "attributes": {"brand": f"{stem}-brand{n % 3}", "sold": "here"}}
            for n in range(9)
        ]
        assert call("POST", "/v1/items", own["secret_key"], {"items": items}).json()["accepted"] == 9
    line = {"price": 50, "quantity": 2, "currency": "EUR", "order_id": "o1"}
    batch = [
        track("view", "p1", "a3"),
        track("purchase", "p2", "a4", **line),
        track("purchase", "p3", "a4", **line),
        track("cart", "p4", "a7", who={"anonymousId": "browser 7"}),
    ]
    answer = call("POST", "/v1/batch", keys["profile-a"]["write_key"], {"batch": batch, "sentAt": now()})
    assert answer.json()["accepted"] == 4
    call("POST", "/v1/track", keys["profile-b"]["write_key"], track("view", "p1", "b2"))
    return keys


def test_a_profile_names_its_evidence_at_once(shops, call) -> None:
    answer = call("GET", PATH, shops["profile-a"]["secret_key"])  # nothing was drained: the table is read as it is
    assert answer.status_code == 200, answer.text
    found = answer.json()
    first = found["interests"][0]
    assert (first["tag"], first["deeds"]) == ("brand=a-brand1", 1)
    assert first["evidence"][0] | {"ts": ""} == first["evidence"][0] | {"ts": "", "source": "order:o1", "item": "a4"}
    assert first["evidence"][0]["part"] == pytest.approx(first["weight"])
    assert "sold=here" not in {one["tag"] for one in found["interests"]}
    assert found["value"] == [{"currency": "EUR", "spent": 100.0, "refunded": 0.0, "net": 100.0}]
    assert [(one["item"], one["title"], one["quantity"]) for one in found["bought"]] == [("a4", "Thing 4", 2)]
    assert (found["frequency"]["events"], found["frequency"]["orders"]) == (3, 1)
    assert found["prices"][0]["middle"] == 50.0
    assert found["categories"][0]["name"] == "a-0"
    assert (found["language"], found["half_life_days"], found["whole"]) == ("fr", 30.0, True)


def test_outcomes_and_a_second_identity_change_no_count_of_what_was_bought(shops, call, stack) -> None:
    alone = call("GET", PATH, shops["profile-a"]["secret_key"]).json()
    stack.drain()
    both = call("GET", PATH + "?anonymous_id=browser%207", shops["profile-a"]["secret_key"]).json()
    assert both["value"] == alone["value"]
    assert both["frequency"]["events"] == alone["frequency"]["events"] + 1
    assert "category=a-1" in {one["tag"] for one in both["interests"]}


def test_two_shops_are_blind_to_each_others_ann(shops, call) -> None:
    found = call("GET", PATH, shops["profile-b"]["secret_key"]).json()
    assert found["frequency"]["events"] == 1
    assert {one["tag"] for one in found["interests"]} == {"category=b-0", "brand=b-brand2"}


def test_only_a_secret_key_reads_a_profile(shops, call) -> None:
    for key, status in ((shops["profile-a"]["write_key"], 403), ("sk_nobody", 401), (None, 401)):
        assert call("GET", PATH, key).status_code == status


def test_somebody_unknown_has_an_empty_profile(shops, call) -> None:
    answer = call("GET", "/v1/users/nobody/profile", shops["profile-a"]["secret_key"])
    assert (answer.status_code, answer.json()["frequency"]["events"], answer.json()["interests"]) == (200, 0, [])


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"/v1/users/{'x' * 257}/profile", "id"),
        ("/v1/users/ann/profile?anonymous_id=", "anonymous_id"),
        ("/v1/users/ann/profile?anonymousId=b", "anonymousId"),
    ],
)
def test_a_mistake_is_named(shops, call, path, field) -> None:
    answer = call("GET", path, shops["profile-a"]["secret_key"])
    assert (answer.status_code, answer.json()["field"]) == (400, field)
