"""Event files replayed through a real stack: nothing lost, nothing doubled, however often they are sent."""

import gzip
import json
import random

import boto3
import pytest

from infra.demo import replay as command
from infra.demo.progress import Told
from infra.demo.replay import replay

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack")]

GOOD = 180
TIMES = range(1_400_000_000, 1_400_000_000 + 86_400 * GOOD, 86_400 // 2)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A shop of long ago: forty walks along three chains, some rows twice, some wrong."""
    chance = random.Random(4)
    rows = []
    for user in range(40):
        start = chance.choice(TIMES[:40])
        chain = ["tent", "mat", "stove", "pan"] if user % 3 else ["lamp", "bulb", "shade", "cord"]
        for step, item in enumerate(chain):
            event = chance.choice(["view", "view", "cart", "purchase", "Wish List"])
            rows.append(f"u{user},{item},{start + step * 60},{event},{9.5 + step}")
    doubled = rows[:7]
    bad = [
        ",tent,1400000000,view,1",
        "u1,,1400000000,view,1",
        "u1,tent,noon,view,1",
        "u1,tent,,view,1",
        "u2,mat,1400000000,view,-4",
    ]
    path = tmp_path_factory.mktemp("replay") / "events.csv"
    path.write_text("user,item,timestamp,event,price\n" + "\n".join([*rows, *doubled, *bad]) + "\n")
    return path


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "items.jsonl"
    lines = [
        {"item": "tent", "attributes": ["7", "9"]},
        {"item": "lamp", "title": "Lamp", "attributes": {"room": "hall"}},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


@pytest.fixture(scope="module")
def environment(stack):
    keys = stack.create_shop("replayed")
    return stack.environment | {"BECKON_WRITE_KEY": keys["write_key"], "BECKON_SECRET_KEY": keys["secret_key"]}


@pytest.fixture(scope="module")
def history(environment):
    """Every event of the table: its key, and when it happened by our clock."""
    table = boto3.client(
        "dynamodb",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )

    def find():
        pages = table.get_paginator("scan").paginate(TableName=environment["BECKON_TABLE"])
        rows = [row for page in pages for row in page["Items"] if row["PK"]["S"].startswith("replayed#U#")]
        events = [row for row in rows if row["SK"]["S"].startswith("E#")]
        return {(row["PK"]["S"], row["SK"]["S"]): json.loads(row["body"]["S"])["ts"] for row in events}

    return find


@pytest.fixture(scope="module")
def sent(file, catalogue, environment, history):
    """The file sent twice, and the history after each."""
    first = replay(file, catalogue, environment, Told(), shop="replayed")
    after_first = history()
    second = replay(file, None, environment, Told(), shop="replayed")
    return first, second, after_first, history()


def test_every_row_is_accounted_for(sent):
    first = sent[0]
    assert first["sent"] == 40 * 4 + 7 + 5 == first["accepted"] + first["rejected"]
    assert first["rejected"] == 5
    assert first["duplicates"] == 7
    assert first["parquet_rows"] == first["accepted"] - first["duplicates"] == 160
    assert (first["users"], first["items"]) == (40, 8)


def test_the_model_is_measured_beside_popularity_and_the_last_item(sent):
    first = sent[0]
    assert first["model_id"]
    assert {"holdout", "popularity", "last_item"} <= set(first)
    assert 0 <= first["popularity"]["recall_at_10"] <= 1
    json.dumps(first, allow_nan=False)


def test_sending_the_file_again_later_changes_nothing(sent):
    first, second, after_first, after_second = sent
    assert second["duplicates"] == second["accepted"] == first["accepted"]
    assert second["parquet_rows"] == first["parquet_rows"]
    assert after_second == after_first
    assert len(after_first) == 160


def test_the_last_event_is_now_and_spans_are_kept(sent):
    times = sorted(sent[2].values())
    assert times[-1] - times[0] == pytest.approx((max(TIMES[:40]) - 1_400_000_000) * 1000, rel=0.2)


def test_the_command_prints_one_line_of_json(file, environment, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert command.main([str(file), "--shop", "replayed"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert json.loads(out)["parquet_rows"] == 160
    assert "the last event is now" in err
    assert "epoch seconds" in err
    assert environment["BECKON_WRITE_KEY"] not in out + err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no file"),
        ("user,product,timestamp\n1,2,3\n", "no column item"),
        ("user,item,timestamp\n", "no time"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused_before_a_stack_starts(tmp_path, monkeypatch, capsys, text, said):
    monkeypatch.delenv("BECKON_URL", raising=False)
    path = tmp_path / "file.csv"
    if text is not None:
        path.write_text(text)
    assert command.main([str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in " ".join(err.split())


def test_the_start_of_a_real_clickstream_keeps_its_counts(shared, stack, tmp_path):
    with gzip.open(shared / "data" / "rees46.csv.gz", "rt") as whole:
        head = [next(whole) for _ in range(401)]
    path = tmp_path / "rees46.csv"
    path.write_text("".join(head))
    keys = stack.create_shop("rees46")
    own = {"BECKON_WRITE_KEY": keys["write_key"], "BECKON_SECRET_KEY": keys["secret_key"]}
    found = replay(path, None, stack.environment | own, Told(), shop="rees46")
    assert (found["sent"], found["rejected"]) == (400, 0)
    assert found["parquet_rows"] == 400 - found["duplicates"]
    assert found["users"] == len({line.split(",")[0] for line in head[1:]})
    assert found["items"] == len({line.split(",")[1] for line in head[1:]})
