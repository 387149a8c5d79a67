"""The catalogue's routes, for callers with a secret key."""

from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from beckon.aws.http import answer, json_body, note, now_ms, parse, presented_key
from beckon.aws.wiring.access import access
from beckon.aws.wiring.manage import catalogue
from beckon.catalog.model import Item
from beckon.catalog.wire import MAX_BODY_BYTES, ItemBody, ItemId, ItemsBody, PageQuery
from beckon.values import Refused


def add_to(app: APIGatewayHttpResolver) -> None:
    """Add the routes to `app`."""

    @app.put("/v1/items/<item>")
    def put_item(item: str) -> Response[str]:
        """Keep one item, new or changed."""
        now = now_ms()
        caller = access().server(presented_key(app.current_event), now)
        body = parse(ItemBody, json_body(app.current_event))
        found = body.item(caller.shop, parse(ItemId, {"id": unquote(item)}).id, now)
        changed = catalogue().put([found])
        return answer({"id": found.id, "changed": changed > 0})

    @app.get("/v1/items/<item>")
    def get_item(item: str) -> Response[str]:
        """Return one item."""
        caller = access().server(presented_key(app.current_event), now_ms())
        found = catalogue().get(caller.shop, unquote(item))
        if found is None:
            raise _no_item()
        return answer(_shown(found))

    @app.delete("/v1/items/<item>")
    def delete_item(item: str) -> Response[str]:
        """Take one item off the catalogue; it is recommended no more."""
        now = now_ms()
        caller = access().server(presented_key(app.current_event), now)
        if not catalogue().delete(caller.shop, unquote(item), now):
            raise _no_item()
        return answer({"deleted": True})

    @app.get("/v1/items")
    def list_items() -> Response[str]:
        """Return a page of items and the cursor of the next one."""
        caller = access().server(presented_key(app.current_event), now_ms())
        query = parse(PageQuery, app.current_event.query_string_parameters)
        items, cursor = catalogue().page(caller.shop, query.limit, query.cursor)
        return answer({"items": [_shown(item) for item in items], "cursor": cursor})

    @app.post("/v1/items")
    def put_items() -> Response[str]:
        """Keep many items and say of each bad one what is wrong with it."""
        now = now_ms()
        caller = access().server(presented_key(app.current_event), now)
        body = parse(ItemsBody, json_body(app.current_event, MAX_BODY_BYTES))
        items, rejected = _checked(caller.shop, body.items, now)
        note(sent=len(body.items), rejected=len(rejected), changed=catalogue().put(items))
        return answer({"accepted": len(items), "rejected": rejected})


def _checked(shop: str, sent: list[Any], now: int) -> tuple[list[Item], list[dict[str, Any]]]:
    items, rejected = [], []
    for index, one in enumerate(sent):
        try:
            items.append(parse(ItemBody, one).item(shop, None, now))
        except Refused as fault:
            given = one.get("id") if isinstance(one, dict) else None
            name = given[:256] if isinstance(given, str) else None
            verdict = {"index": index, "id": name, "code": fault.code, "detail": fault.detail, "field": fault.field}
            rejected.append(verdict)
    return items, rejected


def _shown(item: Item) -> dict[str, Any]:
    record = item.to_record()
    del record["shop"]
    return record


def _no_item() -> Refused:
    return Refused("not-found", "the catalogue has no item of this id", "id")
