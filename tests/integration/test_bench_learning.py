"""`make bench ONLY=learning`, from end to end on a small made-up shop."""

import json
import re

import pytest

from infra.bench.learning.bench import BASELINES, PEERS, main
from infra.bench.learning.reading import shuffle_pairs, synthetic
from infra.bench.learning.tables import markdown, ratios


@pytest.fixture
def peers():
    if not PEERS.exists():
        pytest.skip("the peers are not installed: make build/tools/peers/synced")


@pytest.mark.slow
def test_beckon_and_every_baseline_are_measured_side_by_side(peers, tmp_path, capsys) -> None:
    main(["--smoke", "--out", str(tmp_path / "learning.json")])
    found = json.loads((tmp_path / "learning.json").read_text())
    recorded = {row["model"]: row for row in found["rows"] if row["variant"] == "as recorded"}
    assert set(recorded) == {"Beckon", "Beckon + attributes", "last items", *BASELINES}
    for model, row in recorded.items():
        assert row["targets"] == 300, model
        assert 0 <= row["ndcg_at_10"] <= row["recall_at_10"] <= 1
        assert model == "last items" or (row["seconds_fitting"] >= 0 and row["peak_mib"] > 20)
    # A ring that people walk one way: whoever knows the direction is ahead of whoever knows neighbours, and so on.
    assert recorded["Beckon"]["ndcg_at_10"] > recorded["item-kNN"]["ndcg_at_10"]
    assert recorded["item-kNN"]["ndcg_at_10"] > recorded["implicit ALS"]["ndcg_at_10"]
    assert recorded["implicit ALS"]["ndcg_at_10"] > recorded["popularity"]["ndcg_at_10"]
    assert max(row["parity"] for row in (recorded["Beckon"], *found["growth"])) <= 1e-5
    assert [row["events"] for row in found["growth"]] == [2_000, 4_000]
    assert found["ratios"]["synthetic_beckon_recall_over_best_baseline_without_attributes"] == pytest.approx(
        recorded["Beckon"]["recall_at_10"] / recorded["item-kNN"]["recall_at_10"], abs=1e-4
    )
    assert "| two-tower |" in capsys.readouterr().out


def test_no_data_is_said_so(peers, tmp_path) -> None:
    with pytest.raises(SystemExit, match=re.escape(f"rees46.csv.gz in {tmp_path}")):
        main(["--data", str(tmp_path), "--out", str(tmp_path / "learning.json")])


def test_shuffled_pairs_are_the_same_events_a_step_out_of_order_at_most(tmp_path) -> None:
    data, _ = synthetic(tmp_path)
    shuffle_pairs(data, tmp_path / "shuffled.csv")
    before, after = {}, {}
    for path, found in ((data, before), (tmp_path / "shuffled.csv", after)):
        for line in path.read_text().splitlines()[1:]:
            user, item, ts = line.split(",")
            found.setdefault(user, []).append((int(ts), item))
    assert before.keys() == after.keys()
    moved = events = 0
    for user, events_before in before.items():
        items = [item for _, item in sorted(events_before)]
        mixed = [item for _, item in sorted(after[user])]
        assert sorted(items) == sorted(mixed)
        assert all(abs(place - items.index(item)) <= 1 for place, item in enumerate(mixed))
        moved += sum(item != items[place] for place, item in enumerate(mixed))
        events += len(items)
    assert 0.3 < moved / events < 0.5  # half of the pairs, less those whose ends are left alone


def test_ratios_compare_with_the_best_of_the_same_kind() -> None:
    def row(model, recall, seconds, *, attributes=False, **rest):
        kept = {"data": "shop", "variant": "as recorded", "protocol": "temporal", "model": model}
        found = {
            "recall_at_10": recall,
            "ndcg_at_10": recall and recall / 2,
            "seconds_fitting": seconds,
            "peak_mib": 100.0,
        }
        return kept | found | {"attributes": attributes, "targets": 9} | rest

    rows = [
        row("Beckon", 0.3, 2.0),
        row("Beckon + attributes", 0.4, 3.0, attributes=True),
        row("popularity", 0.1, 0.0),
        row("implicit ALS", 0.2, 8.0),
        row("item-kNN + attributes", 0.25, 1.0, attributes=True),
        row("DMF", None, None, error="killed"),
        row("Beckon", 0.15, 2.0, variant="pairs shuffled"),
    ]
    found = ratios(rows)
    assert found["shop_beckon_recall_over_best_baseline_without_attributes"] == 1.5
    assert found["shop_beckon_ndcg_over_best_baseline_with_attributes"] == 1.6
    assert found["shop_fit_seconds_over_implicit_als"] == 0.25
    assert found["shop_fit_seconds_over_item_knn_attributes"] == 3.0
    assert found["shop_beckon_recall_shuffled_over_recorded"] == 0.5
    assert not any("dmf" in name for name in found)
    assert "shop_fit_seconds_over_popularity" not in found  # no time at all
    table = markdown(rows)
    order = [table.index(f"| {name} |") for name in ("Beckon", "implicit ALS", "popularity", "Beckon + attributes")]
    assert order == sorted(order)
    assert "| DMF | killed |" in table
