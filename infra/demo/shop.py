"""A simulated shop whose truth is known: what is on sale, what goes with what, and what each shopper secretly likes.

Nothing here knows about Beckon: it is the world that Beckon is judged in. Everything follows from the generator.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

# Each category with the words its products are called by; the order is the chain of what goes with what.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "tea": ("teapot", "tea set", "tea tin"),
    "cups": ("mug", "cup and saucer", "tumbler"),
    "coffee": ("moka pot", "coffee grinder", "pour-over dripper"),
    "baking": ("cake tin", "mixing bowl", "rolling pin"),
    "cookware": ("saucepan", "frying pan", "casserole"),
    "knives": ("chef's knife", "bread knife", "chopping board"),
    "table": ("tablecloth", "place mat", "dinner plate"),
    "candles": ("candle", "candlestick", "lantern"),
    "lighting": ("desk lamp", "pendant lamp", "floor lamp"),
    "cushions": ("cushion", "throw", "pouffe"),
    "rugs": ("rug", "runner", "doormat"),
    "plants": ("flower pot", "watering can", "plant stand"),
    "garden": ("trowel", "secateurs", "garden kneeler"),
    "bath": ("bath towel", "bath mat", "soap dish"),
    "bedding": ("duvet cover", "pillowcase", "blanket"),
    "storage": ("basket", "shelf", "wall hook"),
}
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "brand": ("Aldra", "Brennick", "Corvo", "Dunmore", "Elvet", "Fjordan", "Gressing", "Hale & Rook", "Isolde", "Juno"),
    "style": ("nordic", "rustic", "industrial", "baroque", "minimal", "botanical"),
    "colour": ("sage", "ochre", "ink", "chalk", "rust", "plum"),
}
ITEMS_A_CATEGORY = 20
COMPANIONS = 3
CURRENCY = "EUR"


@dataclass(frozen=True, slots=True)
class Product:
    """One thing on sale, as the shop's own catalogue describes it."""

    id: str
    title: str
    category: str
    attributes: Mapping[str, str]
    price: float

    def to_item(self) -> dict[str, Any]:
        """Return the product in the words of `POST /v1/items`."""
        return {
            "id": self.id,
            "title": self.title,
            "categories": [self.category],
            "attributes": dict(self.attributes),
            "price": self.price,
            "currency": CURRENCY,
        }


@dataclass(frozen=True, slots=True)
class Shop:
    """What is on sale and the truth about it.

    `features` [items, features] is 1 where the item has the trait named in `traits`; `appeal` [items] is how much
    everybody likes an item whatever their taste; `companions` [items, items] is true where column goes with row,
    which holds one way only: cups after a teapot, not a teapot after cups.
    """

    products: tuple[Product, ...]
    traits: tuple[str, ...]
    features: Floats
    appeal: Floats
    companions: NDArray[np.bool_]
    index: Mapping[str, int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shopper:
    """A person. Their hidden `taste` [features] is mostly zero; `liking` [items] follows from it, mean 0, s.d. 1."""

    id: str
    taste: Floats
    liking: Floats


def open_shop(rng: np.random.Generator) -> Shop:
    """Return a shop of 320 products in 16 categories."""
    products = tuple(_products(rng))
    traits = tuple(f"category={c}" for c in CATEGORIES) + tuple(f"{n}={v}" for n, vs in ATTRIBUTES.items() for v in vs)
    column = {trait: number for number, trait in enumerate(traits)}
    features = np.zeros((len(products), len(traits)))
    for row, product in enumerate(products):
        features[row, column[f"category={product.category}"]] = 1
        for name, value in product.attributes.items():
            features[row, column[f"{name}={value}"]] = 1
    return Shop(
        products=products,
        traits=traits,
        features=features,
        appeal=rng.gumbel(0, 0.8, len(products)),
        companions=_companions(products, rng),
        index={product.id: number for number, product in enumerate(products)},
    )


def invite(shop: Shop, name: str, rng: np.random.Generator) -> Shopper:
    """Return a shopper with a hidden taste: two categories, two brands, a style and a colour, and a budget."""
    taste = np.zeros(len(shop.traits))
    for attribute, loved, strength in (("category", 2, 2.4), ("brand", 2, 0.8), ("style", 1, 1.6), ("colour", 1, 0.8)):
        columns = [number for number, trait in enumerate(shop.traits) if trait.startswith(f"{attribute}=")]
        taste[rng.choice(columns, size=loved, replace=False)] = strength * rng.uniform(0.7, 1.3, loved)
    budget = rng.normal(np.log(30), 0.5)
    dear = np.maximum(np.log([product.price for product in shop.products]) - budget, 0)
    raw = shop.features @ taste + 0.15 * shop.appeal - 0.5 * dear
    return Shopper(name, taste, (raw - raw.mean()) / raw.std())


def _products(rng: np.random.Generator) -> list[Product]:
    found: list[Product] = []
    for category, nouns in CATEGORIES.items():
        base = rng.uniform(np.log(12), np.log(60))
        for _ in range(ITEMS_A_CATEGORY):
            attributes = {name: str(rng.choice(values)) for name, values in ATTRIBUTES.items()}
            title = f"{attributes['brand']} {attributes['style']} {rng.choice(nouns)} in {attributes['colour']}"
            price = round(float(np.exp(rng.normal(base, 0.4))), 2)
            found.append(Product(f"p{len(found) + 1:03d}", title, category, attributes, price))
    return found


def _companions(products: tuple[Product, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return, for each item, three of the next category that go with it: of its own style where there are any."""
    following = dict(zip(CATEGORIES, [*list(CATEGORIES)[1:], next(iter(CATEGORIES))], strict=True))
    goes = np.zeros((len(products), len(products)), dtype=bool)
    for row, product in enumerate(products):
        near = [number for number, other in enumerate(products) if other.category == following[product.category]]
        weight = np.array(
            [9.0 if products[n].attributes["style"] == product.attributes["style"] else 1.0 for n in near]
        )
        goes[row, rng.choice(near, size=COMPANIONS, replace=False, p=weight / weight.sum())] = True
    return goes
