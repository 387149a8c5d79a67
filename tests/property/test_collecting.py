"""However messages are batched, repeated and delayed, the same events are kept; and the lake holds just those."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.events.body import messages_of, read_body
from beckon.events.bots import DeclaredBots
from beckon.events.delivery import Delivery
from beckon.events.model import Event, Rejection
from beckon.events.parsing import parse
from beckon.events.service import Collection
from beckon.lake.archive import Archive
from beckon.lake.compaction import Compaction
from beckon.lake.reading import read_events
from beckon.values import DAY_MS, Refused
from tests.ingest_fakes import MemoryEventLog, MemoryLake, MemoryRejections, stream_record

RECEIVED = 1_767_323_045_678

names = st.sampled_from(["view", "Order Completed", "impression", "Quiz Finished", "", "cart"])
items = st.sampled_from(["a", "b", "", None])
products = st.lists(
    st.fixed_dictionaries({"product_id": st.sampled_from("abc"), "price": st.integers(0, 9)}), max_size=3
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "identify"]), "event": names},
    optional={
        "messageId": st.sampled_from([f"m{n}" for n in range(4)]),
        "userId": st.sampled_from(["ann", "bob"]),
        "anonymousId": st.sampled_from(["cookie1", "ann"]),
        "timestamp": st.sampled_from([RECEIVED, RECEIVED - 5, 0, RECEIVED + 3 * DAY_MS]),
        "properties": st.fixed_dictionaries(
            {}, optional={"item": items, "products": products, "price": st.integers(-1, 3)}
        ),
    },
)


def collect(batches: list[list[Any]]) -> tuple[MemoryEventLog, list[tuple[int, int, int]]]:
    log, counts = MemoryEventLog(), []
    for later, batch in enumerate(batches):
        delivery = Delivery("acme", b"k" * 32, RECEIVED + later, 180 * DAY_MS)
        verdict = Collection(log, MemoryRejections(), DeclaredBots()).take(batch, delivery)
        assert verdict.accepted + len(verdict.rejected) == len(batch)
        assert verdict.duplicates <= verdict.accepted
        counts.append((verdict.accepted, verdict.duplicates, len(verdict.rejected)))
    return log, counts


@st.composite
def rearranged(draw: st.DrawFn) -> tuple[list[Any], list[list[Any]]]:
    """Messages, and the same ones repeated, reordered and batched otherwise."""
    sent = draw(st.lists(messages, min_size=1, max_size=8))
    again = draw(st.permutations(sent + draw(st.lists(st.sampled_from(sent), max_size=6))))
    cuts = sorted(draw(st.lists(st.integers(0, len(again)), max_size=3)))
    return sent, [list(again[a:b]) for a, b in zip([0, *cuts], [*cuts, len(again)], strict=True)]


@settings(deadline=None)
@given(rearranged())
def test_any_interleaving_repetition_and_batching_keeps_the_same_set(case: tuple[list[Any], list[list[Any]]]) -> None:
    sent, batches = case
    plain, _ = collect([sent])
    other, counts = collect(batches)
    assert set(other.kept) == set(plain.kept)
    assert sum(rejected for _, _, rejected in counts) == sum(
        isinstance(parse(m, 0, Delivery("acme", b"k" * 32, RECEIVED, 180 * DAY_MS), DeclaredBots()), Rejection)
        for batch in batches
        for m in batch
    )
    # Everything sent once more is a duplicate, to the last message.
    delivery = Delivery("acme", b"k" * 32, RECEIVED + 99, 180 * DAY_MS, sent_ts=RECEIVED + 99)
    verdict = Collection(other, MemoryRejections(), DeclaredBots()).take(sent, delivery)
    assert verdict.duplicates == verdict.accepted
    assert set(other.kept) == set(plain.kept)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = ["type", "event", "messageId", "userId", "anonymousId", "timestamp", "sentAt", "properties", "context", "name"]


@settings(deadline=None)
@given(json | st.dictionaries(st.sampled_from(fields), json | st.sampled_from(["track", "page", "view"])))
def test_whatever_a_message_is_there_is_a_verdict(message: Any) -> None:
    delivery = Delivery("acme", b"k" * 32, RECEIVED, 180 * DAY_MS, strict=False)
    verdict = Collection(MemoryEventLog(), MemoryRejections(), DeclaredBots()).take([message], delivery)
    assert verdict.accepted + len(verdict.rejected) == 1


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,0eE.-Nantrueflsbch', max_size=60).map(str.encode))
def test_whatever_a_body_is_it_is_read_or_refused(content: bytes) -> None:
    with suppress(Refused):
        body, _ = read_body(content)
        assert isinstance(messages_of(body, "batch"), list)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Event], list[list[int]], int]:
    """Events, the stream's batches of them (some twice, any order), and how many come after a first compaction."""
    count = draw(st.integers(1, 12))
    events = [
        Event("acme", f"m{n}", "view", f"u{n % 3}", RECEIVED + n, None, RECEIVED + n % 2 * DAY_MS, item=f"i{n}")
        for n in range(count)
    ]
    order = draw(st.permutations([*range(count), *draw(st.lists(st.integers(0, count - 1), max_size=8))]))
    size = draw(st.integers(1, 5))
    batches = [list(order[at : at + size]) for at in range(0, len(order), size)]
    return events, batches, draw(st.integers(0, len(batches)))


@settings(deadline=None, max_examples=60)
@given(deliveries())
def test_batches_delivered_twice_and_out_of_order_are_read_as_each_event_once(case: Any) -> None:
    events, batches, late = case
    lake = MemoryLake()
    for number, batch in enumerate(batches):
        if number == late:
            Compaction(lake).run(lambda: 900_000)
        Archive(lake).take([stream_record(events[n], f"E#{n}", 100 + n) for n in batch])
    expected = sorted((e.user_key, e.ts, e.message_id, e.item) for e in events)

    def found() -> list[tuple[Any, ...]]:
        table = read_events(lake, "acme", ["user_key", "ts", "message_id", "item"])
        return [tuple(row.values()) for row in table.to_pylist()]

    assert found() == expected
    Compaction(lake).run(lambda: 900_000)
    assert found() == expected
