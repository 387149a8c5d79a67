"""The messages as sent: Segment's shapes with Beckon's limits, every refusal with a stable code and what to do."""

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from beckon.events.body import kind
from beckon.values import Refused

MAX_ID_CHARACTERS = 256
MAX_AMOUNT = 1e12
MAX_QUANTITY = 1_000_000

_CURRENCY = re.compile(r"[A-Za-z]{3}")

# The codes of the refusals below; what pydantic finds by itself is a wrong type.
_CODES = {"wrong-type", "id-too-long", "not-a-number", "negative", "too-large", "bad-currency"}


def _text(value: Any) -> str | None:
    """Return an id or a name; whole numbers are taken as their digits, empty text as absent."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise PydanticCustomError("wrong-type", "must be text, not {kind}", {"kind": kind(value)})
    if len(value) > MAX_ID_CHARACTERS:
        raise PydanticCustomError(
            "id-too-long",
            "has {length} characters; send at most {most}",
            {"length": len(value), "most": MAX_ID_CHARACTERS},
        )
    return value if value.strip() else None


def _number(value: Any) -> float | None:
    """Return a finite number, also from its decimal text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = (value,)
    if isinstance(value, bool) or not isinstance(value, int | float):
        given = "other text" if isinstance(value, tuple) else kind(value)
        raise PydanticCustomError("wrong-type", "must be a number such as 19.99, not {given}", {"given": given})
    if not math.isfinite(value):
        raise PydanticCustomError("not-a-number", "must be a finite number; leave it out if there is none")
    return float(value)


def _amount(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = _number(value)
    if number is not None and number < 0:
        raise PydanticCustomError("negative", "must not be negative; report returned goods as a refund")
    if number is not None and number > MAX_AMOUNT:
        raise PydanticCustomError("too-large", "must be at most 10¹²")
    return number


def _quantity(value: Any) -> int | None:
    if value is None or value == "":
        return None
    number = _number(value)
    if number is None or number != int(number):
        raise PydanticCustomError("wrong-type", "must be a whole number")
    if number < 1:
        raise PydanticCustomError("negative", "must be at least 1; report returned goods as a refund")
    if number > MAX_QUANTITY:
        raise PydanticCustomError("too-large", "must be at most {most}", {"most": MAX_QUANTITY})
    return int(number)


def _currency(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise PydanticCustomError("bad-currency", "must be an ISO 4217 code such as EUR")
    return value.upper()


def _object(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PydanticCustomError("wrong-type", "must be an object, not {kind}", {"kind": kind(value)})
    return value


Text = Annotated[str | None, PlainValidator(_text)]
Amount = Annotated[float | None, PlainValidator(_amount)]
Quantity = Annotated[int | None, PlainValidator(_quantity)]
Currency = Annotated[str | None, PlainValidator(_currency)]
Object = Annotated[dict[str, Any], PlainValidator(_object)]


class Message(BaseModel):
    """One message; what Segment knows and Beckon does not use is ignored."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["track", "identify", "page", "screen", "group", "alias"]
    messageId: Text = None  # noqa: N815 — Segment's names
    userId: Text = None  # noqa: N815
    anonymousId: Text = None  # noqa: N815
    previousId: Text = None  # noqa: N815
    event: Text = None
    name: Text = None
    properties: Object = {}


class Line(BaseModel):
    """One product of an event. `price` is of one piece; `value` stands for it where there is no price."""

    model_config = ConfigDict(extra="allow")

    item: Text = None
    product_id: Text = None
    price: Amount = None
    value: Amount = None
    quantity: Quantity = None
    currency: Currency = None

    @property
    def item_id(self) -> str | None:
        """Return the product, by either name."""
        return self.item or self.product_id

    @property
    def unit_value(self) -> float | None:
        """Return the money of one piece."""
        return self.value if self.price is None else self.price


class Details(Line):
    """The properties of an event whose name Beckon knows; other fields are kept beside as they are."""

    order_id: Text = None
    rec_id: Text = None
    products: list[Line] | None = None


def parsed[Model: BaseModel](model: type[Model], value: Any, within: str = "") -> Model:
    """Return `value` as `model`.

    Raises:
        Refused: the first field at fault, under the path `within`.
    """
    try:
        return model.model_validate(value)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join((*([within] if within else []), *(str(part) for part in first["loc"])))
        code, detail = first["type"], first["msg"]
        if field == "type":
            code, detail = "unknown-type", "must be one of track, identify, page, screen, group, alias"
        raise Refused(
            code if code in _CODES or field == "type" else "wrong-type", f"{field}: {detail}", field
        ) from None
