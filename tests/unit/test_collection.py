"""Verdicts: sent = accepted + rejected, duplicates are part of accepted, and a killed request loses nothing."""

from typing import Any

import pytest

from beckon.events.bots import DeclaredBots
from beckon.events.delivery import Delivery
from beckon.events.model import Event
from beckon.events.service import Collection, Verdict
from beckon.values import DAY_MS
from tests.ingest_fakes import MemoryEventLog, MemoryRejections

RECEIVED = 1_767_323_045_678


def message(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "view",
        "messageId": f"m{n}",
        "userId": f"u{n % 3}",
        "timestamp": RECEIVED - 1000 + n,
        "properties": {"item": f"i{n}"},
    } | changes


class Shop:
    def __init__(self) -> None:
        self.log, self.rejections = MemoryEventLog(), MemoryRejections()

    def take(self, *messages: Any, log: Any = None, after: int = 0, **shared: Any) -> Verdict:
        delivery = Delivery("acme", b"k" * 32, RECEIVED + after, 180 * DAY_MS, sent_ts=RECEIVED + after, **shared)
        return Collection(log or self.log, self.rejections, DeclaredBots()).take(messages, delivery)


def counts(verdict: Verdict) -> tuple[int, int, int]:
    return verdict.accepted, verdict.duplicates, len(verdict.rejected)


def test_one_bad_message_costs_no_good_one() -> None:
    shop = Shop()
    verdict = shop.take(message(0), 7, message(1), message(2, userId=None), message(3))
    assert counts(verdict) == (3, 0, 2)
    assert [(one["index"], one["message_id"], one["code"]) for one in verdict.to_answer()["rejected"]] == [
        (1, None, "not-an-object"),
        (3, "m2", "missing-identity"),
    ]
    assert sorted(e.message_id for e in shop.log.kept.values()) == ["m0", "m1", "m3"]
    assert sorted(r.reason for r in shop.rejections.kept.values()) == ["missing-identity", "not-an-object"]


def test_what_is_sent_again_is_a_duplicate_and_the_first_write_wins() -> None:
    shop = Shop()
    assert counts(shop.take(message(0), message(1), message(0))) == (3, 1, 0)
    assert counts(shop.take(message(1), message(2), after=60_000)) == (2, 1, 0)
    kept = {e.message_id: e.received_ts for e in shop.log.kept.values()}
    assert kept == {"m0": RECEIVED, "m1": RECEIVED, "m2": RECEIVED + 60_000}


def test_a_message_without_time_is_known_by_its_id() -> None:
    shop = Shop()
    untimed = message(0)
    del untimed["timestamp"]
    assert counts(shop.take(untimed, untimed)) == (2, 1, 0)
    assert counts(shop.take(untimed, after=5_000)) == (1, 1, 0)
    assert len(shop.log.kept) == 1


def test_an_order_of_which_a_part_is_new_is_no_duplicate() -> None:
    shop = Shop()
    order = message(0, event="purchase", properties={"products": [{"item": "a"}, {"item": "b"}, {"item": "c"}]})
    first = Shop()
    first.take(order)
    shop.log.append(next(iter(first.log.kept.values())))  # a request killed after the first product
    assert counts(shop.take(order)) == (1, 0, 0)
    assert counts(shop.take(order)) == (1, 1, 0)
    assert len(shop.log.kept) == 3


@pytest.mark.parametrize("written", [0, 1, 7, 30])
def test_a_request_killed_between_writes_loses_and_doubles_nothing(written: int) -> None:
    shop = Shop()

    class Dies:
        left = written

        def append(self, event: Event) -> bool:
            if self.left <= 0:
                raise OSError("the container is gone")
            self.left -= 1
            return shop.log.append(event)

    messages = [message(n) for n in range(40)]
    with pytest.raises(OSError, match="gone"):
        shop.take(*messages, log=Dies())
    before = len(shop.log.kept)
    assert before < 40
    assert counts(shop.take(*messages, after=9_000)) == (40, before, 0)
    assert sorted(e.message_id for e in shop.log.kept.values()) == sorted(f"m{n}" for n in range(40))


def test_at_most_a_hundred_rejections_of_a_request_are_kept_and_the_sender_is_told() -> None:
    shop = Shop()
    verdict = shop.take(*[message(n, userId="") for n in range(130)])
    assert counts(verdict) == (0, 0, 130)
    assert len(shop.rejections.kept) == 100
    assert verdict.to_answer()["notes"] == [
        {"index": None, "message_id": None, "note": "30 rejected messages beyond 100 were not kept"}
    ]


def test_nothing_is_kept_of_who_opted_out() -> None:
    shop = Shop()
    assert counts(shop.take(message(0), message(1), opted_out=True)) == (0, 0, 2)
    assert not shop.log.kept
    assert not shop.rejections.kept


def test_more_than_a_batch_may_hold_is_refused_message_by_message() -> None:
    shop = Shop()
    verdict = shop.take(*[message(n) for n in range(2_503)])
    assert counts(verdict) == (2_500, 0, 3)
    assert {(one.reason, one.index) for one in verdict.rejected} == {("too-many-events", n) for n in (2500, 2501, 2502)}


def test_an_empty_batch_is_accepted() -> None:
    assert Shop().take().to_answer() == {"success": True, "accepted": 0, "duplicates": 0, "rejected": [], "notes": []}
