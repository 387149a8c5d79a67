"""The demo in small on a real stack: every stage and every check, and the two reports."""

import json

import pytest

from infra.demo.demo import main, run, summary, write
from infra.demo.experiment import Plan
from infra.demo.nulls import try_seed
from infra.demo.progress import Told

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack")]

SMALL = Plan(seed=5, past_shoppers=150, test_shoppers=100)


@pytest.fixture(scope="module")
def numbers(stack):
    keys = stack.create_shop("demo")
    own = {"BECKON_WRITE_KEY": keys["write_key"], "BECKON_SECRET_KEY": keys["secret_key"]}
    return run(SMALL, stack.environment | own, Told(), shop="demo")


def test_counts_add_up_from_the_tracker_to_the_lake(numbers):
    assert numbers["events_sent"] == numbers["events_accepted"] + numbers["events_rejected"]
    assert numbers["parquet_rows"] == numbers["events_accepted"] - numbers["events_duplicates"]
    assert numbers["events_rejected"] > 20
    assert numbers["events_duplicates"] > 20
    assert numbers["exposures"] == numbers["recommendations"] >= SMALL.test_shoppers
    assert numbers["parquet_bytes"] > 0


def test_the_lift_follows_from_the_arms_and_lies_in_its_interval(numbers):
    conversion = numbers["conversion"]
    low, high = conversion["interval"]
    assert conversion["lift"] == pytest.approx(conversion["treatment"] / conversion["control"] - 1)
    assert low < conversion["lift"] < high
    assert conversion["control_users"] + conversion["treatment_users"] == SMALL.test_shoppers


def test_what_is_recommended_is_liked_more_than_what_is_trending(numbers):
    funnel = numbers["funnel"]
    assert funnel["treatment"]["liking"] > funnel["control"]["liking"]
    assert numbers["holdout"]["recall_at_10"] > numbers["holdout"]["popularity_recall_at_10"]


def test_the_nulls_bench_sees_the_same_world_without_a_network(numbers):
    inside = next(row for row in try_seed(SMALL.seed, SMALL) if row["tried"] == "demo")
    measured = numbers["conversion"]
    assert (inside["control"], inside["treatment"]) == (measured["control"], measured["treatment"])
    assert [inside["low"], inside["high"]] == measured["interval"]


def test_both_reports_are_written(numbers, tmp_path):
    whole = numbers | {"seconds": 1.0}
    write(whole, tmp_path / "demo")
    assert json.loads((tmp_path / "demo" / "report.json").read_text()) == json.loads(json.dumps(whole))
    assert numbers["model_id"] in (tmp_path / "demo" / "report.html").read_text()
    assert summary(whole).row_count >= 8


def test_help_needs_no_stack(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--seed" in capsys.readouterr().out
