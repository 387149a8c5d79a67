"""An item as a shop sends it, and its check into an Item."""

from typing import Annotated, Any, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from beckon.catalog.model import Item
from beckon.values import Refused

MAX_ITEMS = 500  # of one request
MAX_BODY_BYTES = 5 * 1024 * 1024  # of one request; Lambda takes 6 MB
MAX_ITEM_BYTES = 32 * 1024  # stored three times in one transaction, 33 items of which must stay below 4 MB
MAX_ATTRIBUTES = 100
MAX_VALUES = 50
MAX_TEXT = 1_000  # characters of an attribute's text
MAX_PRICE = 1e12

_KINDS = "must be a text, a finite number, true, false or a list of texts"


def _named(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


def _attribute(value: Any) -> Any:
    match value:
        case list() if len(value) > MAX_VALUES:
            raise PydanticCustomError("too-long", "has more than {most} values", {"most": MAX_VALUES})
        case list():
            texts = value
        case str():
            texts = [value]
        case bool() | int() | float() if abs(value) < float("inf"):  # false for NaN
            return value
        case _:
            raise PydanticCustomError("wrong-type", _KINDS)
    for text in texts:
        if not isinstance(text, str):
            raise PydanticCustomError("wrong-type", _KINDS)
        if len(text) > MAX_TEXT:
            raise PydanticCustomError("too-long", "has more than {most} characters", {"most": MAX_TEXT})
    return value


type Id = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_named)]
type Name = Annotated[str, Field(min_length=1, max_length=100)]
type Category = Annotated[str, Field(min_length=1, max_length=200)]
type Attribute = Annotated[Any, PlainValidator(_attribute)]


class ItemBody(BaseModel):
    """One item. Unknown fields are mistakes; `id` may be left out where the path has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Id | None = None
    parent_id: Id | None = None
    title: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_named)]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    categories: Annotated[list[Category], Field(max_length=50)] = []
    attributes: Annotated[dict[Name, Attribute], Field(max_length=MAX_ATTRIBUTES)] = {}
    price: Annotated[float, Field(ge=0, le=MAX_PRICE, allow_inf_nan=False)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    available: bool = True
    image: Annotated[str, Field(max_length=2_048, pattern=r"^https?://[^\s/?#]+\S*$")] | None = None

    def item(self: Self, shop: str, path_id: str | None, now: int) -> Item:
        """Return the shop's item, changed at `now`.

        Raises:
            Refused: no id, another one than the path's, or more than 32 KiB.
        """
        if self.id is None and path_id is None:
            raise Refused("invalid-request", "id: an item needs one", "id")
        if None not in (self.id, path_id) and self.id != path_id:
            raise Refused("invalid-request", "id: is not the id in the path; leave it out, or send the same", "id")
        fields = self.model_dump(exclude={"id", "categories"})
        item = Item(shop, self.id or path_id or "", updated=now, categories=tuple(self.categories), **fields)
        size = len(orjson.dumps(item.to_record()))
        if size > MAX_ITEM_BYTES:
            raise Refused("invalid-request", f"the item has {size} bytes; at most {MAX_ITEM_BYTES} fit", "description")
        return item


class ItemsBody(BaseModel):
    """Many items, each checked by itself, so that a bad one costs no other."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    items: Annotated[list[Any], Field(max_length=MAX_ITEMS)]


class ItemId(BaseModel):
    """The id in an item's path."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: Id


class PageQuery(BaseModel):
    """Which page of a listing; numbers come as text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50  # 100 of 32 KiB fit into Lambda's 6 MB
    cursor: Annotated[str, Field(max_length=1_024)] | None = None
