"""`make accuracy`: its numbers, scored again from the predictions it wrote, and on real data what they should be."""

import csv
import gzip
import json
import math
import random

import pytest

from infra.accuracy.accuracy import PROTOCOLS, accuracy
from infra.demo.progress import Told
from infra.demo.rows import BadFile

RING = [f"item-{n:02}" for n in range(40)]


@pytest.fixture
def files(tmp_path):
    """People who mostly take the next of a ring of items, now and then any; some rows are no events."""
    chance = random.Random(8)
    rows = []
    for person in range(150):
        at = chance.randrange(40)
        for step in range(chance.randint(1, 9)):
            rows.append((f"p{person}", RING[at], 1_400_000_000 + step * 3600 + person, "view"))
            at = (at + 1) % 40 if chance.random() < 0.7 else chance.randrange(40)
    rows += [("p1", "item-00", "when?", "view"), ("", "item-00", 1_400_000_000, "view"), ("p1", "x", 1, "search")]
    with gzip.open(tmp_path / "events.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerows([("user", "item", "timestamp", "event"), *rows])
    with (tmp_path / "items.jsonl").open("w") as file:
        file.writelines(json.dumps({"item": one, "attributes": [one[-1], one[-2]]}) + "\n" for one in [*RING, "never"])
    return tmp_path, [row for row in rows if row[0] and row[3] == "view" and row[2] != "when?"]


def last_items(rows):
    last = {}
    for person, item, ts, _ in sorted(rows, key=lambda row: (row[0], row[2])):
        last.setdefault(person, []).append((ts, item))
    return {person: seen[-1][1] for person, seen in last.items() if len(seen) > 1}


def test_the_predictions_score_as_the_summary_says(files) -> None:
    folder, rows = files
    found = accuracy(
        folder / "events.csv.gz", folder / "items.jsonl", "leave-one-out", folder / "predictions.csv", Told()
    )
    with (folder / "predictions.csv").open() as file:
        predicted = {(row["user"], row["item"]): int(row["rank"]) for row in csv.DictReader(file)}
    wanted = last_items(rows)
    ranks = [predicted.get(pair, 99) for pair in wanted.items()]
    assert (found["targets"], found["interactions"], found["items"]) == (len(wanted), len(rows), 41)
    assert found["recall_at_10"] == pytest.approx(sum(r <= 10 for r in ranks) / len(ranks), abs=1e-5)
    assert found["recall_at_5"] == pytest.approx(sum(r <= 5 for r in ranks) / len(ranks), abs=1e-5)
    assert found["ndcg_at_10"] == pytest.approx(
        sum(1 / math.log2(r + 1) for r in ranks if r <= 10) / len(ranks), abs=1e-5
    )
    assert found["recall_at_5"] > 0.5 > found["popularity"]["recall_at_10"]
    assert found["seconds_fitting"] > 0
    assert found["peak_mib"] > 0


def test_the_last_two_events_of_a_person_teach_nothing(files) -> None:
    folder, _ = files
    told = (folder / "told.csv").open("w", newline="")
    with told:
        csv.writer(told).writerows(
            [("user", "item", "timestamp")]
            + [(f"p{n}", item, n * 10 + at) for n in range(300) for at, item in enumerate(("a", "b", "z"))]
        )
    found = accuracy(folder / "told.csv", None, "leave-one-out", None, Told())
    # Everybody goes a → b → z, but b and z are kept back from fitting: z cannot be foretold, and ties count against us.
    assert found["recall_at_10"] == 1.0  # three items in all
    assert found["ndcg_at_10"] == 1.0  # a and b were seen and are left out: one candidate is left


def test_changing_what_came_last_changes_no_prediction(files, tmp_path) -> None:
    folder, rows = files
    ordered = sorted(rows, key=lambda row: (row[0], row[2]))
    lasts = {row[0]: row for row in ordered}
    others = {row: RING[(RING.index(row[1]) * 7 + 3) % 40] for row in lasts.values()}
    written = []
    for name, changed in (("as-it-was", {}), ("otherwise", others)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            lines = [(person, changed.get(row, row[1]), ts) for row in ordered for person, _, ts, _ in [row]]
            csv.writer(file).writerows([("user", "item", "timestamp"), *lines])
        out = tmp_path / f"{name}-predictions.csv"
        found = accuracy(tmp_path / f"{name}.csv", folder / "items.jsonl", "leave-one-out", out, Told())
        written.append((out.read_text(), found["recipe"], found["recall_at_10"]))
    assert written[0][:2] == written[1][:2]
    assert written[0][2] != written[1][2]


def test_the_temporal_protocol_is_retrains_own(files) -> None:
    folder, _ = files
    found = accuracy(folder / "events.csv.gz", None, "temporal", None, Told())
    assert found["protocol"] in {"temporal", "leave-one-out"}
    assert found["targets"] > 0


def test_a_file_that_cannot_be_read_is_said_so(tmp_path) -> None:
    (tmp_path / "wrong.csv").write_text("user,what\n1,2\n")
    with pytest.raises(BadFile, match="item or timestamp"):
        accuracy(tmp_path / "wrong.csv", None, PROTOCOLS[0], None, Told())


@pytest.mark.slow
def test_real_data_is_foretold_as_well_as_the_research_found(shared) -> None:
    data, items = (shared / "data" / f"amazon-beauty{rest}.gz" for rest in (".csv", "-items.jsonl"))
    if not data.exists():
        pytest.skip("no amazon-beauty data")
    found = accuracy(data, items, "leave-one-out", None, Told())
    assert found["targets"] == 22_363
    assert found["recall_at_10"] > 0.098
    assert found["ndcg_at_10"] > 0.060
    assert found["peak_mib"] < 1024
