"""The models' routes, for callers with a secret key."""

from typing import Annotated, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from pydantic import BaseModel, ConfigDict, Field

from beckon.artefact.model import REPORT
from beckon.artefact.registry import Listed
from beckon.aws.http import answer, body_bytes, json_body, note, now_ms, parse, presented_key
from beckon.aws.wiring.access import access
from beckon.aws.wiring.manage import registry


class PromoteBody(BaseModel):
    """Whether the model stays until a person says otherwise; without it, only if a newer model exists."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pin: bool | None = None


class ModelsQuery(BaseModel):
    """How many models to list; numbers come as text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=50)] = 20


def add_to(app: APIGatewayHttpResolver) -> None:
    """Add the routes to `app`."""

    @app.get("/v1/models")
    def list_models() -> Response[str]:
        """Return the newest models, and which one serves."""
        caller = access().server(presented_key(app.current_event), now_ms())
        query = parse(ModelsQuery, app.current_event.query_string_parameters)
        models = registry().models(caller.shop, query.limit)
        current = next((one for one in models if one.serves), None)
        return answer(
            {
                "models": [_shown(one) for one in models],
                "current": None if current is None else current.manifest.model_id,
                "pinned": current is not None and current.pinned,
            }
        )

    @app.post("/v1/models/<model>/promote")
    def promote_model(model: str) -> Response[str]:
        """Let a model serve, back or forth."""
        now = now_ms()
        caller = access().server(presented_key(app.current_event), now)
        body = parse(PromoteBody, json_body(app.current_event) if body_bytes(app.current_event) else {})
        pointer = registry().promote(caller.shop, unquote(model), now, pinned=body.pin)
        note(model_id=pointer.model_id)
        return answer({"current": pointer.model_id, "previous": pointer.previous, "pinned": pointer.pinned})


def _shown(listed: Listed) -> dict[str, Any]:
    manifest = listed.manifest
    return {
        "id": manifest.model_id,
        "created": manifest.created,
        "code_version": manifest.code_version,
        "metrics": manifest.metrics,
        "serving": manifest.to_record()["serving"],
        "lineage": manifest.lineage,
        "report": f"models/{manifest.shop}/{manifest.model_id}/{REPORT}" if REPORT in manifest.files else None,
        "current": listed.serves,
        "pinned": listed.pinned,
    }
