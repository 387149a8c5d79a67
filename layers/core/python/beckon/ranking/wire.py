"""The body of `POST /v1/recommendations`, and its check into a Request."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from beckon.ranking.model import Request, Surface
from beckon.values import Refused

DEFAULT_K = 10
MAX_K = 100
MAX_ITEMS = 500
MAX_ID = 256  # characters
MAX_TOKEN = 8_192  # characters

type Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
type Ids = Annotated[list[Id], Field(max_length=MAX_ITEMS)]


class RecommendationBody(BaseModel):
    """Who asks for which list. Unknown fields are mistakes; `need`, `filter` and `search` are not served yet."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user: Id | None = None
    user_token: Annotated[str, Field(max_length=MAX_TOKEN)] | None = None
    anonymous_id: Id | None = None
    surface: Surface = "home"
    item: Id | None = None
    items: Ids | None = None
    k: Annotated[int, Field(ge=1, le=MAX_K)] | None = None
    exclude: Ids | None = None

    def request(self: Self) -> Request:
        """Return what is asked, without the identity of who asks.

        `rerank` answers all of the caller's items unless a `k` is given.

        Raises:
            Refused: a field that the surface needs is missing, or one is given that it would ignore.
        """
        if self.surface == "similar" and self.item is None:
            raise _mistake("item", "surface similar needs item: the id whose neighbours are wanted")
        if self.surface in ("cart", "rerank") and not self.items:
            raise _mistake("items", f"surface {self.surface} needs items: at least one id")
        if self.surface != "similar" and self.item is not None:
            raise _mistake("item", f"surface {self.surface} takes no item; use similar, or leave it out")
        if self.surface not in ("cart", "rerank") and self.items:
            raise _mistake("items", f"surface {self.surface} takes no items; use cart or rerank, or leave them out")
        items = tuple(dict.fromkeys(self.items or ()))
        k = self.k if self.k is not None else len(items) if self.surface == "rerank" else DEFAULT_K
        return Request(self.surface, k, self.item, items, frozenset(self.exclude or ()))


def _mistake(field: str, detail: str) -> Refused:
    return Refused("invalid-request", f"{field}: {detail}", field)
