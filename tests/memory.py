"""Fakes of access' and conversions' ports, without switches, each held to the contract of its adapter."""

from collections import Counter
from decimal import Decimal

from beckon.conversions.counters import increments
from beckon.conversions.model import ORDER


class MemoryKeys:
    def __init__(self):
        self.keys, self.created = {}, {}
        self.asked = []

    def find(self, key_id):
        self.asked.append(key_id)
        return self.keys.get(key_id)

    def create_shop(self, shop, created, keys):
        if shop in self.created:
            return False
        self.created[shop] = created
        self.keys |= {key.id: key for key in keys}
        return True

    def add(self, key):
        if key.shop not in self.created:
            return False
        self.keys[key.id] = key
        return True

    def revoke(self, shop, key_id):
        if key_id not in self.keys or self.keys[key_id].shop != shop:
            return False
        del self.keys[key_id]
        return True

    def listed(self, shop):
        return sorted((key for key in self.keys.values() if key.shop == shop), key=lambda key: (key.created, key.id))

    def shops(self):
        return sorted(self.created)


class MemoryExposures:
    def __init__(self, exposures=()):
        self.kept = {}
        for exposure in exposures:
            self.log(exposure)

    def log(self, exposure):
        self.kept[exposure.shop, exposure.user_key, exposure.ts, exposure.rec_id] = exposure

    def window(self, shop, user_keys, since, until):
        found = [one for one in self.kept.values() if one.shop == shop and one.user_key in user_keys]
        return sorted((one for one in found if since <= one.ts <= until), key=lambda one: (one.ts, one.rec_id))


class MemoryOutcomes:
    def __init__(self):
        self.kept, self.counted, self.ordered = {}, {}, set()

    def record(self, outcome, expires):  # noqa: ARG002 -- a test is over before anything expires
        line = (outcome.shop, outcome.source, outcome.item, outcome.kind)
        key = (outcome.user_key, *line)
        if key in self.kept or line in self.ordered:
            return False
        self.kept[key] = outcome
        if outcome.source.startswith(ORDER):
            self.ordered.add(line)
        for name, amounts in increments(outcome).items():
            counter = self.counted.setdefault((outcome.shop, name), Counter())
            for attribute, amount in amounts.items():
                counter[attribute] += Decimal(amount)
        return True
