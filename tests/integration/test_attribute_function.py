"""attribute: stream batches in, outcomes and counters in the table out, whatever goes wrong on the way."""

import json

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import ClientError

from beckon.aws import clients
from beckon.aws.exposures import DynamoExposures
from beckon.aws.table import event_key, row
from beckon.conversions.counters import CounterName
from beckon.conversions.model import Exposure, Outcome, Slot
from beckon.events.model import Event
from beckon.values import DAY_MS
from tests.faulty import Failing
from tests.integration.test_conversions_contract import counters, stored

NOW = 1_790_000_000_000
HOUR = "2026-09-21T14"


def event(n, type_="click", item="boot", *, shop="shoes", person="u1", **fields):
    return Event(shop, f"m{n}", type_, person, NOW + n, NOW + n, NOW + n + 5, item=item, **fields)


def record(event, number, body=None):
    image = row(event_key(event), event.to_record())
    if body is not None:
        image["body"] = {"S": body}
    keys = {name: image[name] for name in ("PK", "SK")}
    change = {"Keys": keys, "NewImage": image, "SequenceNumber": str(number), "StreamViewType": "NEW_IMAGE"}
    return {"eventID": str(number), "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": change}


def batch(*events):
    return {"Records": [record(one, number) for number, one in enumerate(events, start=100)]}


def outcomes(table, shop="shoes", person="u1"):
    return [Outcome.from_record(json.loads(one["body"]["S"])) for one in stored(table, f"{shop}#U#{person}", "O#")]


@pytest.fixture
def attribute(table, function):  # in this order: the function's own environment is the one that stays
    return function("attribute")


@pytest.fixture
def shown(table):
    slots = (Slot("sock", 1, 2.0, 2.0), Slot("boot", 2, 1.0, 1.0))
    DynamoExposures(clients.dynamodb(), table, 30 * DAY_MS).log(
        Exposure("shoes", "r1", "u1", "home", "beckon", "m7", NOW - 60_000, slots, variant="treatment")
    )


SHOPPING = (
    event(1, "view"),
    event(2, "click", rec_id="r1"),
    event(3, "cart", value=19.99, currency="EUR"),
    event(4, "purchase", value=19.99, currency="EUR", quantity=2, order_id="7"),
    event(5, "purchase", "hat", value=5.0, currency="EUR", order_id="7"),
    event(6, "search", None),
)


def check_shopping(table):
    assert [(one.kind, one.item, len(one.credits)) for one in outcomes(table)] == [
        ("click", "boot", 1),
        ("cart", "boot", 1),
        ("purchase", "boot", 1),
        ("purchase", "hat", 0),
    ]
    assert counters(table, "shoes") == {
        CounterName(HOUR, "home", "beckon", "m7", "treatment"): {
            "clicks": 1,
            "carts": 1,
            "cart_value_EUR": 19_990_000,
            "purchases": 1,
            "purchase_value_EUR": 39_980_000,
        },
        CounterName(HOUR): {"purchases": 1, "purchase_value_EUR": 5_000_000},
    }


def test_shopping_becomes_outcomes_credited_to_what_was_shown(attribute, shown, table, context) -> None:
    assert attribute.handler(batch(*SHOPPING), context) == {"batchItemFailures": []}
    check_shopping(table)


def test_a_batch_delivered_twice_and_out_of_order_changes_nothing(attribute, shown, table, context) -> None:
    for events in (SHOPPING, SHOPPING[::-1], SHOPPING[3:] + SHOPPING[:3]):
        assert attribute.handler(batch(*events), context) == {"batchItemFailures": []}
    check_shopping(table)


@pytest.mark.parametrize("dies_at", range(4))
def test_a_function_killed_in_mid_batch_is_made_good_by_the_next_delivery(
    attribute, shown, table, context, monkeypatch, dies_at
) -> None:
    attribution = attribute.attribution()
    real, calls = attribution.outcomes, []

    class Dying:
        def record(self, outcome, expires):
            if len(calls) == dies_at:
                raise KeyboardInterrupt
            calls.append(outcome)
            return real.record(outcome, expires)

    dying = type(attribution)(attribution.exposures, Dying(), attribution.window_ms, attribution.retention_ms)
    with monkeypatch.context() as patch:
        patch.setattr(attribute, "attribution", lambda: dying)
        with pytest.raises(KeyboardInterrupt):
            attribute.handler(batch(*SHOPPING), context)
    assert len(outcomes(table)) == dies_at
    attribute.handler(batch(*SHOPPING), context)
    check_shopping(table)


def throttled():
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "TransactWriteItems")


def test_a_throttled_record_is_reported_and_the_others_are_done(attribute, shown, table, context, monkeypatch) -> None:
    outcomes_ = attribute.attribution().outcomes
    slow = Failing(clients.dynamodb(), "transact_write_items", [None, throttled()])
    with monkeypatch.context() as patch:
        patch.setattr(outcomes_, "_client", slow)
        answer = attribute.handler(batch(*SHOPPING), context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "102"}]}  # the cart
    assert [one.kind for one in outcomes(table)] == ["click", "purchase", "purchase"]
    attribute.handler(batch(*SHOPPING[2:]), context)  # the stream resumes at the lowest failure
    check_shopping(table)


def test_a_batch_of_which_nothing_succeeded_raises(attribute, table, context, monkeypatch) -> None:
    slow = Failing(clients.dynamodb(), "transact_write_items", [throttled() for _ in range(9)])
    monkeypatch.setattr(attribute.attribution().outcomes, "_client", slow)
    with pytest.raises(BatchProcessingError):
        attribute.handler(batch(event(1), event(2)), context)


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "{}", '{"shop": "shoes"}', "NaN", '"text"'])
def test_poison_holds_nothing_up_and_is_not_retried(attribute, table, context, capsys, body) -> None:
    records = [record(event(1), 1), record(event(2), 2, body), record(event(3), 3)]
    assert attribute.handler({"Records": records}, context) == {"batchItemFailures": []}
    assert [one.source for one in outcomes(table)] == ["m1", "m3"]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["records"], line["outcomes"], line["poison"], line["failed"]) == (3, 2, 1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ts": "yesterday"},
        {"ts": 10**17},
        {"ts": -1},
        {"received_ts": None},
        {"item": ["boot"]},
        {"order_id": 7},
        {"value": "much"},
        {"quantity": 1.5},
        {"shop": "hats"},
        {"user_key": "u2"},
        {"anonymous_key": {}},
    ],
)
def test_an_event_that_is_none_on_a_closer_look_holds_nothing_up(attribute, table, context, wrong) -> None:
    sold = event(2, "purchase", value=2.0)
    records = [record(event(1), 1), record(sold, 2, json.dumps(sold.to_record() | wrong)), record(event(3), 3)]
    assert attribute.handler({"Records": records}, context) == {"batchItemFailures": []}
    assert [one.source for one in outcomes(table)] == ["m1", "m3"]
    assert outcomes(table, "hats") == []


def test_a_record_without_an_image_or_a_body_is_poison(attribute, table, context) -> None:
    bare, imageless = record(event(1), 1), record(event(2), 2)
    del bare["dynamodb"]["NewImage"]["body"]
    del imageless["dynamodb"]["NewImage"]
    assert attribute.handler({"Records": [bare, imageless]}, context) == {"batchItemFailures": []}
    assert outcomes(table) == []


def test_two_shops_with_the_same_people_and_items_are_counted_apart(attribute, shown, table, context) -> None:
    attribute.handler(batch(event(1), event(1, shop="hats"), event(2, shop="hats")), context)
    assert [len(one.credits) for one in outcomes(table)] == [1]
    assert [len(one.credits) for one in outcomes(table, "hats")] == [0, 0]
    assert counters(table, "hats") == {CounterName(HOUR): {"clicks": 2}}


def test_the_line_has_counts_and_no_person(attribute, shown, table, context, capsys) -> None:
    attribute.handler(batch(*SHOPPING), context)
    text = capsys.readouterr().out
    assert json.loads(text)["outcomes"] == 4
    assert "u1" not in text
    assert "boot" not in text
