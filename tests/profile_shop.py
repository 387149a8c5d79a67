"""People and things that profiles are made of, and fakes of profiles' ports held to the contract of their adapters."""

from beckon.catalog.model import Item
from beckon.conversions.model import Outcome
from beckon.events.model import Event
from beckon.profiles.ports import Reading
from beckon.values import DAY_MS

NOW = 20_000 * DAY_MS + 12 * 3_600_000  # noon
SHOP = "north"


def event(kind, item=None, *, days=0.0, message_id=None, shop=SHOP, user="ann", **fields):
    ts = NOW - int(days * DAY_MS)
    return Event(
        shop=shop,
        message_id=message_id or f"{kind}-{item}-{days}",
        type=kind,
        user_key=user,
        ts=ts,
        original_ts=fields.pop("original_ts", ts),
        received_ts=ts,
        item=item,
        **fields,
    )


def outcome(kind, item, *, days=0.0, source=None, value=None, currency=None, quantity=1, user="ann", shop=SHOP):
    ts = NOW - int(days * DAY_MS)
    value = -abs(value) if kind == "refund" and value is not None else value
    return Outcome(shop, user, source or f"{kind}-{item}-{days}", item, kind, ts, value, currency, quantity, ())


def item(name, *, categories=(), price=None, currency=None, shop=SHOP, **attributes):
    return Item(
        shop,
        name,
        name.title(),
        NOW,
        categories=tuple(categories),
        attributes=attributes,
        price=price,
        currency=currency,
    )


class MemoryBehaviour:
    def __init__(self, events=(), outcomes=()):
        self.kept_events, self.kept_outcomes = list(events), list(outcomes)

    def put(self, *rows, expires=NOW + DAY_MS):
        if expires > NOW:
            self.kept_events += [row for row in rows if isinstance(row, Event)]
            self.kept_outcomes += [row for row in rows if isinstance(row, Outcome)]

    def events(self, shop, user_key, *, limit, since, now):  # noqa: ARG002 -- what expired was not put
        mine = [e for e in self.kept_events if (e.shop, e.user_key) == (shop, user_key) and e.type != "impression"]
        newest = sorted(mine, key=lambda e: e.original_ts, reverse=True)
        return Reading([e for e in newest[:limit] if e.ts >= since], len(newest) <= limit)

    def outcomes(self, shop, user_key, *, limit, since, now):  # noqa: ARG002
        mine = [o for o in self.kept_outcomes if (o.shop, o.user_key) == (shop, user_key)]
        return Reading([o for o in mine[:limit] if o.ts >= since], len(mine) <= limit)


class MemoryItems:
    def __init__(self, *items):
        self.kept = {(one.shop, one.id): one for one in items}
        self.asked = []

    def named(self, shop, ids):
        self.asked.append(list(ids))
        return {name: self.kept[shop, name] for name in ids if (shop, name) in self.kept}

    def page(self, shop, limit, cursor):
        assert cursor is None
        mine = [one for (owner, _), one in sorted(self.kept.items()) if owner == shop]
        return mine[:limit], "more" if len(mine) > limit else None
