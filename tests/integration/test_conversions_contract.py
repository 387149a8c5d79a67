"""Exposures and outcomes, in memory and in the table, keep the same promises."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest
from botocore.exceptions import ClientError

from beckon.aws import clients
from beckon.aws.exposures import DynamoExposures
from beckon.aws.outcomes import DynamoOutcomes
from beckon.aws.table import METRIC_SHARDS
from beckon.conversions.counters import CounterName
from beckon.conversions.model import Credit, Exposure, Outcome, Slot
from beckon.values import DAY_MS
from tests.faulty import Failing, cancelled
from tests.memory import MemoryExposures, MemoryOutcomes

NOW = 1_790_000_000_000
HOUR = "2026-09-21T14"
EXPIRES = NOW + 180 * DAY_MS

WON = Credit("r1", 1.0, "rec_id", "home", "beckon", "m7", "treatment")
SOLD = Outcome("shoes", "u1", "m1", "boot #1", "purchase", NOW, 39.98, "EUR", 2, (WON,))


def exposure(rec_id, ts, *, shop="shoes", person="u1"):
    return Exposure(shop, rec_id, person, "home", "beckon", None, ts, (Slot("boot", 1, 0.5, 0.25),), variant="a")


@pytest.fixture(params=["memory", "table"])
def exposures(request):
    if request.param == "memory":
        return MemoryExposures()
    table = request.getfixturevalue("table")
    return DynamoExposures(clients.dynamodb(), table, 30 * DAY_MS)


@pytest.fixture(params=["memory", "table"])
def outcomes(request):
    """Outcomes, with `.count(shop)`: every counter's amounts by name."""
    if request.param == "memory":
        kept = MemoryOutcomes()
        kept.count = lambda shop: {
            name: dict(amounts) for (owner, name), amounts in kept.counted.items() if owner == shop
        }
        return kept
    table = request.getfixturevalue("table")
    kept = DynamoOutcomes(clients.dynamodb(), table)
    kept.count = lambda shop: counters(table, shop)
    return kept


def counters(table, shop):
    found = {}
    for shard in range(METRIC_SHARDS):
        answer = clients.dynamodb().query(
            TableName=table,
            KeyConditionExpression="PK = :p",
            ExpressionAttributeValues={":p": {"S": f"{shop}#M#{shard}"}},
        )
        for row in answer["Items"]:
            name = CounterName(*row["SK"]["S"].split("#")[1:])
            amounts = {key: Decimal(value["N"]) for key, value in row.items() if key not in ("PK", "SK")}
            found[name] = dict(Counter(found.get(name, {})) + Counter(amounts)) if name in found else amounts
    return found


def test_a_window_includes_both_ends_and_is_oldest_first(exposures) -> None:
    for rec_id, ts in (("r4", NOW + 1), ("r3", NOW), ("r1", NOW - 10), ("r0", NOW - 11), ("r2", NOW - 5)):
        exposures.log(exposure(rec_id, ts))
    found = exposures.window("shoes", ["u1"], NOW - 10, NOW)
    assert found == [exposure("r1", NOW - 10), exposure("r2", NOW - 5), exposure("r3", NOW)]


def test_a_window_sees_the_people_and_the_shop_it_names_and_no_other(exposures) -> None:
    exposures.log(exposure("r1", NOW - 3, person="a1"))
    exposures.log(exposure("r2", NOW - 2))
    exposures.log(exposure("r3", NOW - 2, person="u2"))
    exposures.log(exposure("r4", NOW - 2, shop="hats"))
    assert [one.rec_id for one in exposures.window("shoes", ["u1", "a1"], 0, NOW)] == ["r1", "r2"]
    assert [one.rec_id for one in exposures.window("shoes", ["u1", "u1"], 0, NOW)] == ["r2"]
    assert exposures.window("shoes", [], 0, NOW) == []
    assert exposures.window("shoes", ["u1"], -5, -1) == []


def test_an_exposure_logged_twice_is_there_once(exposures) -> None:
    exposures.log(exposure("r1", NOW))
    exposures.log(exposure("r1", NOW))
    assert exposures.window("shoes", ["u1"], 0, NOW) == [exposure("r1", NOW)]


def test_lists_of_one_millisecond_are_all_in_the_window(exposures) -> None:
    for rec_id in ("zz", "~~", "00"):
        exposures.log(exposure(rec_id, NOW))
    assert [one.rec_id for one in exposures.window("shoes", ["u1"], NOW, NOW)] == ["00", "zz", "~~"]


def test_an_outcome_is_kept_and_counted_once(outcomes) -> None:
    assert [outcomes.record(SOLD, EXPIRES), outcomes.record(SOLD, EXPIRES)] == [True, False]
    assert outcomes.count("shoes") == {
        CounterName(HOUR, "home", "beckon", "m7", "treatment"): {"purchases": 1, "purchase_value_EUR": 39_980_000}
    }


def test_what_was_recorded_first_stands(outcomes) -> None:
    outcomes.record(SOLD, EXPIRES)
    assert not outcomes.record(replace(SOLD, value=1.0, credits=()), EXPIRES)
    assert list(outcomes.count("shoes").values()) == [{"purchases": 1, "purchase_value_EUR": 39_980_000}]


def test_another_source_item_kind_or_person_is_another_outcome(outcomes) -> None:
    variants = [{"source": "m2"}, {"item": "boot"}, {"kind": "cart"}, {"user_key": "u2"}, {"shop": "hats"}]
    assert all(outcomes.record(replace(SOLD, **fields), EXPIRES) for fields in [{}, *variants])
    name = CounterName(HOUR, "home", "beckon", "m7", "treatment")
    assert outcomes.count("shoes")[name] == {
        "purchases": 4,
        "purchase_value_EUR": 4 * 39_980_000,
        "carts": 1,
        "cart_value_EUR": 39_980_000,
    }
    assert outcomes.count("hats")[name]["purchases"] == 1


def test_credits_that_share_a_counter_are_added_to_it_together(outcomes) -> None:
    half, other = replace(WON, share=0.5), replace(WON, rec_id="r2", share=0.25)
    elsewhere = replace(WON, rec_id="r3", share=0.25, surface="cart", model_id=None, variant=None)
    assert outcomes.record(replace(SOLD, credits=(half, elsewhere, other)), EXPIRES)
    assert outcomes.count("shoes") == {
        CounterName(HOUR, "home", "beckon", "m7", "treatment"): {
            "purchases": Decimal("0.75"),
            "purchase_value_EUR": 29_985_000,
        },
        CounterName(HOUR, "cart", "beckon"): {"purchases": Decimal("0.25"), "purchase_value_EUR": 9_995_000},
    }


def test_money_adds_up_to_the_cent_over_thousands_and_refunds_take_it_back(outcomes) -> None:
    for n in range(10):
        outcomes.record(replace(SOLD, source=f"m{n}", value=0.1, credits=()), EXPIRES)
    outcomes.record(replace(SOLD, kind="refund", value=-0.3, credits=()), EXPIRES)
    outcomes.record(replace(SOLD, source="big", value=999_999_999_999.99, credits=()), EXPIRES)
    assert outcomes.count("shoes")[CounterName(HOUR)] == {
        "purchases": 11,
        "purchase_value_EUR": 1_000_000 + 999_999_999_999_990_000,
        "refunds": 1,
        "refund_value_EUR": -300_000,
    }


def test_an_order_reported_under_two_names_counts_once(outcomes) -> None:
    ordered = replace(SOLD, source="order:7")
    assert outcomes.record(replace(ordered, user_key="a1"), EXPIRES)
    assert not outcomes.record(ordered, EXPIRES)
    assert outcomes.record(replace(ordered, shop="hats"), EXPIRES)
    assert outcomes.record(replace(ordered, item="sock"), EXPIRES)
    assert outcomes.record(replace(ordered, kind="refund"), EXPIRES)
    assert outcomes.count("shoes")[CounterName(HOUR, "home", "beckon", "m7", "treatment")]["purchases"] == 2


def stored(table, partition, prefix):
    answer = clients.dynamodb().query(
        TableName=table,
        KeyConditionExpression="PK = :p AND begins_with(SK, :s)",
        ExpressionAttributeValues={":p": {"S": partition}, ":s": {"S": prefix}},
    )
    return answer["Items"]


def test_an_outcome_at_rest_is_what_the_lake_reads(table) -> None:
    DynamoOutcomes(clients.dynamodb(), table).record(SOLD, EXPIRES)
    (row,) = stored(table, "shoes#U#u1", "O#")
    assert Outcome.from_record(orjson.loads(row["body"]["S"])) == SOLD
    assert row["SK"]["S"] == "O#m1#boot%20%231#purchase"
    assert row["ttl"]["N"] == str(EXPIRES // 1000)


def test_an_exposure_at_rest_is_what_the_lake_reads(table) -> None:
    DynamoExposures(clients.dynamodb(), table, 30 * DAY_MS).log(exposure("r1", NOW))
    (row,) = stored(table, "shoes#U#u1", "X#")
    assert Exposure.from_record(orjson.loads(row["body"]["S"])) == exposure("r1", NOW)
    assert row["ttl"]["N"] == str((NOW + 30 * DAY_MS) // 1000)


def test_a_conflict_over_a_counter_is_tried_again(table) -> None:
    conflict = cancelled("None", "TransactionConflict")
    client = Failing(clients.dynamodb(), "transact_write_items", [conflict] * 3)
    assert DynamoOutcomes(client, table).record(SOLD, EXPIRES)
    assert next(iter(counters(table, "shoes").values()))["purchases"] == 1


@pytest.mark.parametrize(
    ("reason", "tries"),
    [("ThrottlingError", 4), ("TransactionConflict", 4), ("ValidationError", 1), ("AccessDenied", 1)],
)
def test_a_cancellation_that_is_no_repetition_raises_and_leaves_nothing(table, reason, tries) -> None:
    client = Failing(clients.dynamodb(), "transact_write_items", [cancelled("None", reason)] * 9)
    with pytest.raises(ClientError, match="TransactionCanceled"):
        DynamoOutcomes(client, table).record(SOLD, EXPIRES)
    assert len(client.faults) == 9 - tries
    assert stored(table, "shoes#U#u1", "O#") == []
    assert counters(table, "shoes") == {}
