"""The main job over HTTP, with two shops in one deployment: events in, recommendations and measured conversions out."""

import io
import random
import time

import boto3
import jwt
import orjson
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack")]

CHAINS = [("tent", "mat", "stove"), ("boot", "sock", "gaiter"), ("lamp", "bulb", "shade")]


def now() -> int:
    return int(time.time() * 1000)


def track(event: str, message_id: str, user: str, item: str, ts: int, **properties):
    return {
        "type": "track",
        "event": event,
        "messageId": message_id,
        "userId": user,
        "timestamp": ts,
        "properties": {"item": item} | properties,
    }


def history(prefix: str, seed: int, users: int):
    """Shoppers who each walk one chain in order, so that what comes next is known; every tenth starts with a tent."""
    chance = random.Random(seed)
    messages = []
    start = now() - 3_600_000
    for user in range(users):
        chain = CHAINS[user % 3]
        for step, item in enumerate(chain[: chance.choice([2, 3, 3])]):
            ts = start + user * 1000 + step * 100
            messages.append(track("view", f"{prefix}-{user}-{step}", f"{prefix}-u{user}", f"{prefix}-{item}", ts))
    return messages


def catalogue(prefix: str):
    return [
        {"id": f"{prefix}-{item}", "title": item, "categories": [f"chain{number}"], "price": 10.0 + number}
        for number, chain in enumerate(CHAINS)
        for item in chain
    ]


@pytest.fixture(scope="module")
def shops(stack, call):
    """Two shops of these tests' own, each with a catalogue, a history and a model."""
    keys = {name: stack.create_shop(name) for name in ("acme", "bolt")}
    for prefix, own in keys.items():
        answer = call("POST", "/v1/items", own["secret_key"], {"items": catalogue(prefix)})
        assert (answer.status_code, answer.json()["accepted"]) == (200, 9), answer.text
        messages = history(prefix, seed=len(prefix), users=90)
        for start in range(0, len(messages), 100):
            batch = messages[start : start + 100]
            answer = call("POST", "/v1/batch", own["write_key"], {"batch": batch, "sentAt": now()})
            assert (answer.status_code, answer.json()["accepted"]) == (200, len(batch)), answer.text
    stack.drain()
    stack.run("retrain")
    return keys


def recommend(call, key, **request):
    answer = call("POST", "/v1/recommendations", key, request)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer):
    return [item["id"] for item in answer["items"]]


def test_a_click_changes_the_very_next_list(shops, call) -> None:
    keys = shops["acme"]
    stranger = recommend(call, keys["secret_key"], user="acme-new", surface="home", k=3)
    for item in ("tent", "boot", "lamp"):
        message = track("click", f"now-{item}", f"acme-new-{item}", f"acme-{item}", now())
        assert call("POST", "/v1/track", keys["write_key"], message).json()["accepted"] == 1
        first = recommend(call, keys["secret_key"], user=f"acme-new-{item}", surface="home", k=3)
        follows = next(chain[1] for chain in CHAINS if chain[0] == item)
        assert ids(first)[0] == f"acme-{follows}"
        assert first["items"][0]["reasons"][0] == pytest.approx(
            {"kind": "history", "item": f"acme-{item}", "part": first["items"][0]["reasons"][0]["part"]}
        )
    assert all(reason["kind"] == "prior" for item in stranger["items"] for reason in item["reasons"])


def test_reasons_add_up_to_the_score_and_nothing_is_called_probable_yet(shops, call) -> None:
    answer = recommend(call, shops["acme"]["secret_key"], user="acme-u0", surface="home", k=9)
    assert answer["model_id"]
    for position, item in enumerate(answer["items"], start=1):
        assert item["position"] == position
        assert sum(reason["part"] for reason in item["reasons"]) == pytest.approx(item["score"], abs=1e-5)
        assert item["final_score"] == pytest.approx(item["score"])
        assert item["probability"] is None


def test_similar_items_are_what_follows_the_item(shops, call) -> None:
    answer = recommend(call, shops["acme"]["write_key"], surface="similar", item="acme-boot", k=2)
    assert ids(answer)[0] == "acme-sock"
    assert "acme-boot" not in ids(answer)


def test_a_stranger_sees_what_is_trending(shops, call) -> None:
    stranger = recommend(call, shops["acme"]["write_key"], surface="home", k=5)
    trending = recommend(call, shops["acme"]["write_key"], surface="trending", k=5)
    assert ids(stranger) == ids(trending)
    assert len(ids(trending)) == 5


def test_two_shops_are_blind_to_each_other(shops, call) -> None:
    for name, other in (("acme", "bolt"), ("bolt", "acme")):
        everything = recommend(call, shops[name]["secret_key"], surface="trending", k=100)
        assert ids(everything)
        assert all(item.startswith(f"{name}-") for item in ids(everything))
        # The same user id is another person in the other shop: no history there, so no history reasons.
        foreign = recommend(call, shops[name]["secret_key"], user=f"{other}-u0", surface="home", k=3)
        assert all(reason["kind"] == "prior" for item in foreign["items"] for reason in item["reasons"])
        assert call("GET", f"/v1/items/{other}-tent", shops[name]["secret_key"]).status_code == 404
        models = call("GET", "/v1/models", shops[name]["secret_key"]).json()["models"]
        assert models
        promoted = call("POST", f"/v1/models/{models[0]['id']}/promote", shops[other]["secret_key"], {})
        assert promoted.status_code == 404


def test_a_write_key_reads_a_named_users_list_only_with_that_shops_token(shops, call) -> None:
    acme, bolt = shops["acme"], shops["bolt"]

    def token(keys, user):
        claims = {"sub": user, "exp": time.time() + 600}
        return jwt.encode(claims, keys["secret_access_key"], headers={"kid": keys["access_key_id"]})

    ask = {"user": "acme-u0", "surface": "home", "k": 3}
    assert call("POST", "/v1/recommendations", acme["write_key"], ask).status_code == 403
    for wrong in (token(bolt, "acme-u0"), token(acme, "acme-u1"), token(acme, "acme-u0")[:-2] + "xx", "nonsense"):
        answer = call("POST", "/v1/recommendations", acme["write_key"], ask | {"user_token": wrong})
        assert (answer.status_code, answer.json()["code"]) == (403, "bad-user-token"), wrong
    good = recommend(call, acme["write_key"], **ask, user_token=token(acme, "acme-u0"))
    assert any(reason["kind"] == "history" for item in good["items"] for reason in item["reasons"])
    # An anonymous id that spells the user's id is somebody else.
    spelt = recommend(call, acme["write_key"], anonymous_id="acme-u0", surface="home", k=3)
    assert all(reason["kind"] == "prior" for item in spelt["items"] for reason in item["reasons"])


def test_a_purchase_is_one_outcome_credited_to_what_was_shown_whatever_is_sent_again(shops, call, rows, stack) -> None:
    keys = shops["acme"]
    clicked = track("click", "loop-click", "acme-buyer", "acme-boot", now())
    call("POST", "/v1/track", keys["write_key"], clicked)
    shown = recommend(call, keys["secret_key"], user="acme-buyer", surface="home", k=3)
    assert ids(shown)[0] == "acme-sock"
    exposures = [orjson.loads(row["body"]["S"]) for row in rows("X#") if shown["rec_id"] in row["SK"]["S"]]
    assert [slot["item"] for slot in exposures[0]["slots"]] == ids(shown)

    bought = track("purchase", "loop-buy", "acme-buyer", "acme-sock", now(), price=12.5, quantity=2, currency="EUR")
    untimed = track("purchase", "loop-untimed", "acme-buyer", "acme-gaiter", 0, price=30)
    del untimed["timestamp"]
    duplicates = 0
    for later in (0, 1_000, 90_000):
        body = {"batch": [bought, untimed], "sentAt": now() + later}
        duplicates += call("POST", "/v1/batch", keys["write_key"], body).json()["duplicates"]
    assert duplicates == 4
    stack.drain()

    outcomes = [orjson.loads(row["body"]["S"]) for row in rows("O#")]
    sold = [o for o in outcomes if o["kind"] == "purchase" and o["item"] in {"acme-sock", "acme-gaiter"}]
    assert sorted((o["source"], o["item"], o["value"], o["quantity"]) for o in sold) == [
        ("loop-buy", "acme-sock", 25.0, 2),
        ("loop-untimed", "acme-gaiter", 30.0, 1),
    ]
    [credit] = next(o for o in sold if o["item"] == "acme-sock")["credits"]
    assert (credit["rec_id"], credit["share"], credit["model_id"]) == (shown["rec_id"], 1.0, shown["model_id"])


def test_an_order_reported_by_browser_and_server_is_counted_once(shops, call, rows, stack) -> None:
    keys = shops["bolt"]
    products = [{"product_id": "bolt-tent", "price": 100, "quantity": 1}, {"product_id": "bolt-mat", "price": 20}]
    for source in ("browser", "server"):
        order = {
            "type": "track",
            "event": "Order Completed",
            "messageId": f"order-{source}",
            "userId": "bolt-buyer",
            "timestamp": now(),
            "properties": {"order_id": "o-77", "products": products},
        }
        assert call("POST", "/v1/track", keys["write_key"], order).json()["accepted"] == 1
    stack.drain()
    sold = [o for o in (orjson.loads(row["body"]["S"]) for row in rows("O#")) if o["shop"] == "bolt"]
    assert sorted((o["source"], o["item"], o["value"]) for o in sold) == [
        ("order:o-77", "bolt-mat", 20.0),
        ("order:o-77", "bolt-tent", 100.0),
    ]


def test_the_lake_holds_what_was_accepted_and_what_was_not_with_its_reason(shops, call, stack) -> None:
    keys = shops["bolt"]
    good = [track("view", f"lake-{n}", "bolt-reader", "bolt-lamp", now() + n) for n in range(3)]
    bad = [
        track("view", "lake-2099", "bolt-reader", "bolt-lamp", 4_070_908_800_000),
        track("view", "lake-noitem", "bolt-reader", "", now()),
        track("purchase", "lake-price", "bolt-reader", "bolt-lamp", now(), price=-1),
        {"type": "track", "event": "view", "messageId": "lake-nobody", "properties": {"item": "bolt-lamp"}},
        track("view", "x" * 10_000, "bolt-reader", "bolt-lamp", now()),
        track("view", "lake-big", "bolt-reader", "bolt-lamp", now(), note="x" * 33_000),
        "not an object",
    ]
    old = track("view", "lake-1970", "bolt-reader", "bolt-lamp", 86_400_000)
    answer = call("POST", "/v1/batch", keys["write_key"], {"batch": [*bad, *good, old]}).json()
    assert (answer["accepted"], len(answer["rejected"])) == (4, len(bad))
    assert all(one["code"] and one["detail"] for one in answer["rejected"])
    assert any("lake" in note["note"] for note in answer["notes"] if note["message_id"] == "lake-1970")
    stack.drain()

    s3 = boto3.client("s3", endpoint_url=stack.environment["AWS_ENDPOINT_URL"], region_name="us-east-1")
    bucket = stack.environment["BECKON_LAKE_BUCKET"]

    def read(dataset, column):
        keys = s3.list_objects_v2(Bucket=bucket, Prefix=f"lake/{dataset}/shop=bolt/").get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in keys]
        return [value for body in bodies for value in pq.ParquetFile(io.BytesIO(body)).read()[column].to_pylist()]

    kept = read("events", "message_id")
    assert {"lake-0", "lake-1", "lake-2", "lake-1970"} <= set(kept)
    assert not {"lake-2099", "lake-noitem", "lake-price", "lake-nobody", "lake-big"} & set(kept)
    assert sorted(read("rejected", "reason")) == sorted(one["code"] for one in answer["rejected"])
    payloads = "".join(read("rejected", "payload"))
    assert "bolt-reader" not in payloads  # no raw id at rest


def test_no_raw_user_id_is_in_the_table(shops, rows) -> None:
    text = "".join(str(row) for row in rows(""))
    assert "acme-u0'" not in text
    assert "acme-buyer" not in text
