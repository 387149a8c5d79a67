"""The demo's stages, each of which checks what it did: stock, past, learning, test, proof, numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

import numpy as np

from beckon.values import DAY_MS
from infra.demo.client import Beckon, Failed, side_by_side
from infra.demo.evidence import Evidence, Stored
from infra.demo.experiment import AGAINST_TRENDING, Visit, World, assign, past, stream, visit
from infra.demo.live import Live
from infra.demo.measure import conversion, funnels, purchases
from infra.demo.messages import Message, bad_messages
from infra.demo.progress import Told

BATCH = 50
BAD_EVERY = 33  # one deliberately bad event to so many good ones
RESENT_EVERY = 25  # one batch sent again of so many
RESENT_PURCHASES = 20
LATER_MS = 3_600_000  # by how much a re-sender's clock has moved on
REASONS_TOLD = 2


class Demo:
    """One run of the loop. Raises Failed as soon as a check fails; `checks` are the claims that held."""

    def __init__(self, world: World, beckon: Beckon, evidence: Evidence, told: Told) -> None:
        self.checks: list[str] = []
        self._world, self._shop, self._beckon, self._evidence, self._told = world, world.shop, beckon, evidence, told
        self._live = Live(beckon)
        self._stored = Stored(0, 0, 0)

    def stock(self) -> None:
        """Put the shop's products into the catalogue."""
        with self._told.stage(f"putting {len(self._shop.products)} items into the catalogue"):
            self._beckon.put_items([product.to_item() for product in self._shop.products])

    def relive(self) -> None:
        """Send what shoppers did before the test, bad events among it and some batches twice."""
        now = self._live.now()
        good = past(self._world, now - DAY_MS)
        bad = list(bad_messages(good[::BAD_EVERY], now))
        messages = list(_mixed(good, bad))
        self._told.say(f"{len(good):,} events of the past {self._world.plan.days} days, and {len(bad)} bad ones")
        for _ in self._told.each(_one_by_one(self._live.send_all(messages, BATCH)), "events sent", len(messages)):
            pass
        resent = list(batched(good, BATCH, strict=False))[::RESENT_EVERY]
        for batch in resent:
            self._live.send(batch, LATER_MS)
        tally = self._live.tally
        self._check("every bad event was refused with a reason, and no good one", len(tally.rejected), len(bad))
        self._check("events sent again were recognised", tally.duplicates, sum(len(batch) for batch in resent))

    def learn(self) -> dict[str, Any]:
        """Bring the past into the lake and make the model that serves the whole test; return its manifest."""
        with self._told.stage("table → stream → Parquet → retrain → scorer.onnx"):
            self._settle()
            self._beckon.run("retrain")
        return self._evidence.manifest()

    def test(self) -> list[Visit]:
        """Let the test's shoppers come by, a few at a time; return what truly happened."""
        order = stream(self._world.plan.seed, "order").permutation(self._world.testers()).tolist()

        def come_by(number: int) -> Visit:
            return visit(self._world, number, self._live, AGAINST_TRENDING)

        self._told.say("half of the test's shoppers are shown what is trending, half what Beckon recommends")
        return list(self._told.each(side_by_side(come_by, order), "shoppers served", len(order)))

    def prove(self, model_id: str) -> list[dict[str, Any]]:
        """Check the promises on what the stack really holds; return all outcomes."""
        with self._told.stage("re-sending purchases, counting what the stack holds"):
            self._settle()
            before = sum(1 for _ in self._evidence.records("O#"))
            for message in self._live.purchases[-RESENT_PURCHASES:]:
                self._live.send([message], LATER_MS)
            self._settle()
            outcomes = list(self._evidence.records("O#"))
            self._stored = self._evidence.stored("events")
        tally, served = self._live.tally, self._live.served
        self._check("a purchase sent again, an hour later by its clock, made no second outcome", len(outcomes), before)
        bought = sorted(outcome["source"] for outcome in outcomes if outcome["kind"] == "purchase")
        orders = sorted({f"order:{message['properties']['order_id']}" for message in self._live.purchases})
        self._check("every purchase became one outcome", bought, orders)
        self._check("accepted less sent again = rows in the lake", self._stored.rows, tally.accepted - tally.duplicates)
        exposed = sum(1 for _ in self._evidence.records("X#"))
        self._check("every list served was logged as an exposure", exposed, len(served))
        self._check("one model served the whole test", {answer["model_id"] for answer in served}, {model_id})
        self.checks.append(f"the reasons of every place of {len(served):,} lists add up to its score")
        return outcomes

    def numbers(self, visits: Sequence[Visit], outcomes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what was counted and measured."""
        bought = purchases(outcomes, visits)
        result = conversion(bought, visits)
        tally = self._live.tally
        return {
            "events_sent": tally.sent,
            "events_accepted": tally.accepted,
            "events_duplicates": tally.duplicates,
            "events_rejected": len(tally.rejected),
            "parquet_rows": self._stored.rows,
            "parquet_files": self._stored.files,
            "parquet_bytes": self._stored.bytes,
            "recommendations": len(self._live.served),
            "exposures": len(self._live.served),
            "outcomes": len(outcomes),
            "conversion": {
                "control": result.control,
                "treatment": result.treatment,
                "lift": result.lift,
                "interval": [result.low, result.high],
                "control_users": result.control_users,
                "treatment_users": result.treatment_users,
            },
            "funnel": funnels(bought, visits),
            "items": len(self._shop.products),
            "checks": self.checks,
        }

    def example(self) -> dict[str, Any]:
        """Return the first returning shopper of the treatment arm: hidden taste, and what Beckon makes of them."""
        plan = self._world.plan
        shoppers = (self._world.shopper(number) for number in self._world.testers())
        shopper = next(one for one in shoppers if assign(plan.seed, one.id) == "treatment")
        home = self._beckon.recommend(anonymous_id=shopper.id, surface="home", k=5)
        trending = self._beckon.recommend(anonymous_id=shopper.id, surface="trending", k=5)
        title = {product.id: product.title for product in self._shop.products}
        liking = {product.id: float(shopper.liking[self._shop.index[product.id]]) for product in self._shop.products}
        loved = sorted(np.flatnonzero(shopper.taste), key=lambda trait: -shopper.taste[trait])
        looked_at = {reason["item"]: None for slot in home["items"] for reason in slot["reasons"] if "item" in reason}
        return {
            "shopper": shopper.id,
            "taste": [self._shop.traits[trait].replace("=", " ") for trait in loved],
            "looked_at": [title[item] for item in looked_at],
            "recommended": [
                {"title": title[slot["id"]], "liking": liking[slot["id"]], "reasons": _told_reasons(slot, title)}
                for slot in home["items"]
            ],
            "liking_of_recommended": float(np.mean([liking[slot["id"]] for slot in home["items"]])),
            "liking_of_trending": float(np.mean([liking[slot["id"]] for slot in trending["items"]])),
        }

    def _settle(self) -> None:
        self._beckon.drain()
        self._beckon.run("compact")

    def _check(self, claim: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise Failed(f"this does not hold: {claim}. Found {_short(found)}, expected {_short(wanted)}")
        self.checks.append(claim)


def _mixed(good: Sequence[Message], bad: Sequence[Message]) -> Iterator[Message]:
    """Yield the good messages with a bad one after each `BAD_EVERY`th."""
    waiting = iter(bad)
    for number, message in enumerate(good):
        yield message
        if number % BAD_EVERY == 0:
            yield next(waiting)


def _one_by_one(sizes: Iterable[int]) -> Iterator[None]:
    for size in sizes:
        yield from (None for _ in range(size))


def _told_reasons(slot: Mapping[str, Any], title: Mapping[str, str]) -> list[str]:
    """Return the strongest reasons of a place in words."""
    words = []
    for reason in sorted(slot["reasons"], key=lambda reason: -reason["part"])[:REASONS_TOLD]:
        share = reason["part"] / slot["score"] if slot["score"] else 0
        what = f"they looked at {title[reason['item']]}" if reason["kind"] == "history" else "many people want it"
        words.append(f"{what} ({share:.0%})")
    return words


def _short(found: Any) -> str:
    return str(found) if not isinstance(found, list) else f"{len(found)} ({', '.join(map(str, found[:3]))} …)"
