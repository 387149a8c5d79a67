"""The simulated world over time: a past in which shoppers wander, then a test of two ways to fill a list.

A `Loop` is the shop's connection to Beckon. The demo's goes over HTTP, the nulls' bench runs in this process; the
world and the shoppers are the same for both.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from beckon.values import DAY_MS, HOUR_MS, SECOND_MS
from infra.demo.behaviour import Action, look_down, wander
from infra.demo.messages import Message, track
from infra.demo.shop import Shop, Shopper, invite, open_shop

type Arm = Literal["control", "treatment"]
type Surface = Literal["home", "trending"]

AGAINST_TRENDING: Mapping[Arm, Surface] = {"control": "trending", "treatment": "home"}
AGAINST_ITSELF: Mapping[Arm, Surface] = {"control": "home", "treatment": "home"}
PAGES = 3  # lists that one visit sees at most: the next comes after a click


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the world is: shoppers of the past and their visits in `days`, shoppers of the test, places a list."""

    seed: int
    past_shoppers: int = 600
    past_visits: int = 2
    days: int = 21
    test_shoppers: int = 600
    returning: float = 0.5
    k: int = 8


@dataclass(frozen=True, slots=True)
class World:
    """A shop and everybody who ever comes to it; each shopper and each visit has a random stream of its own."""

    plan: Plan
    shop: Shop

    def shopper(self, number: int) -> Shopper:
        """Return the shopper of that number: below `past_shoppers` they were there in the past."""
        return invite(self.shop, f"shopper-{number:04d}", stream(self.plan.seed, "taste", number))

    def testers(self) -> list[int]:
        """Return the numbers of the test's shoppers: a share of them are known from the past, the rest are new."""
        returning = min(self.plan.past_shoppers, round(self.plan.returning * self.plan.test_shoppers))
        known = stream(self.plan.seed, "returning").choice(self.plan.past_shoppers, size=returning, replace=False)
        new = range(self.plan.past_shoppers, self.plan.past_shoppers + self.plan.test_shoppers - returning)
        return [*sorted(int(number) for number in known), *new]


def make_world(plan: Plan) -> World:
    """Return the world that follows from the plan's seed."""
    return World(plan, open_shop(stream(plan.seed, "shop")))


def stream(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """Return the random stream of one purpose and shopper, the same whatever else was drawn before."""
    return np.random.default_rng(list(hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()))


def assign(seed: int, shopper: str) -> Arm:
    """Return the arm of a shopper, by hash: half and half, and always the same."""
    return "treatment" if hashlib.sha256(f"{seed}/arm/{shopper}".encode()).digest()[0] % 2 else "control"


def past(world: World, until: int) -> list[Message]:
    """Return everything that shoppers did in the days before `until` (UTC ms), oldest first."""
    messages: list[Message] = []
    for number in range(world.plan.past_shoppers):
        shopper, rng = world.shopper(number), stream(world.plan.seed, "past", number)
        starts = until - DAY_MS * rng.uniform(0, world.plan.days, world.plan.past_visits) - HOUR_MS
        for visit, start in enumerate(sorted(starts)):
            ts = int(start)
            for step, action in enumerate(wander(world.shop, shopper, rng)):
                ts += int(action.after * SECOND_MS)
                messages.append(track(world.shop, shopper.id, action, ts, f"past{visit}-{step}"))
    return sorted(messages, key=lambda message: (message["timestamp"], message["messageId"]))


@dataclass(frozen=True, slots=True)
class Shown:
    """A list that Beckon served."""

    rec_id: str
    items: tuple[str, ...]


class Loop(Protocol):
    """The shop's connection to Beckon: what shoppers do goes in, lists come out."""

    def now(self) -> int:
        """Return the time in UTC ms."""
        ...

    def send(self, messages: list[Message]) -> None:
        """Send what a shopper did; the next list knows it."""
        ...

    def show(self, shopper: str, surface: Surface, k: int) -> Shown:
        """Return a list for a shopper."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """The truth about one shopper's visit, whatever of it Beckon got to know. `started` is the assignment, UTC ms.

    `liked` is the mean of the shopper's hidden liking over all places that were looked at, None if there were none.
    """

    shopper: str
    arm: Arm
    started: int
    lists: int
    impressions: int
    clicks: int
    orders: tuple[str, ...]
    events: int
    liked: float | None


def visit(world: World, number: int, loop: Loop, surfaces: Mapping[Arm, Surface], *, blind: bool = False) -> Visit:
    """Let one shopper come by: assigned by hash, wanders about, is shown a list, and another after each click."""
    shopper = world.shopper(number)
    arm = assign(world.plan.seed, shopper.id)
    diary = _Diary(world.shop, shopper.id, loop)
    started = loop.now()
    diary.write(walk := wander(world.shop, shopper, stream(world.plan.seed, "walk", number)))
    last = next(action.item for action in reversed(walk) if action.kind == "view")
    rng, lists = stream(world.plan.seed, "looks", number), 0
    while lists < PAGES:
        shown = loop.show(shopper.id, surfaces[arm], world.plan.k)
        items = [world.shop.index[item] for item in shown.items]
        looked = look_down(world.shop, shopper, items, last, rng, blind=blind)
        diary.write(looked, shown.rec_id)
        lists += 1
        clicked = [action.item for action in looked if action.kind == "click"]
        if not clicked:
            break
        last = clicked[-1]
    seen = [action.item for action in diary.actions if action.kind == "impression" and action.item is not None]
    return Visit(
        shopper=shopper.id,
        arm=arm,
        started=started,
        lists=lists,
        impressions=len(seen),
        clicks=diary.count("click"),
        orders=tuple(diary.orders),
        events=len(diary.actions),
        liked=float(shopper.liking[seen].mean()) if seen else None,
    )


class _Diary:
    """Turns one shopper's actions into messages, in time order, and keeps them."""

    def __init__(self, shop: Shop, shopper: str, loop: Loop) -> None:
        self._shop, self._shopper, self._loop = shop, shopper, loop
        self._ts = 0
        self.actions: list[Action] = []
        self.orders: list[str] = []

    def write(self, actions: list[Action], rec_id: str | None = None) -> None:
        """Send the actions, each a little later than the one before."""
        messages = []
        for action in actions:
            self._ts = max(self._ts + 1, self._loop.now())
            number = f"test-{len(self.actions)}"
            messages.append(track(self._shop, self._shopper, action, self._ts, number, rec_id=rec_id))
            self.actions.append(action)
            if action.kind == "purchase":
                self.orders.append(messages[-1]["properties"]["order_id"])
        if messages:
            self._loop.send(messages)

    def count(self, kind: str) -> int:
        """Return how many actions of a kind there were."""
        return sum(action.kind == kind for action in self.actions)
