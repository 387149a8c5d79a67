"""recommend: who asks for which list, in; the list, its reasons and its rec_id, once the exposure is kept, out."""

import secrets
from typing import Any

from aws_lambda_powertools.event_handler import Response

from beckon.aws.http import answer, json_body, note, now_ms, parse, presented_key, resolver, serve
from beckon.aws.wiring.access import access
from beckon.aws.wiring.recommend import recommending
from beckon.ranking.model import REC_ID_ENTROPY, new_rec_id
from beckon.ranking.wire import RecommendationBody

app = resolver()


@app.post("/v1/recommendations")
def recommend() -> Response[str]:
    """Return a list for the caller's shop."""
    now = now_ms()
    caller = access().caller(presented_key(app.current_event), now)
    body = parse(RecommendationBody, json_body(app.current_event))
    user_keys = access().readable(
        caller, user=body.user, anonymous_id=body.anonymous_id, user_token=body.user_token, now=now
    )
    rec_id = new_rec_id(now, secrets.token_bytes(REC_ID_ENTROPY))
    served = recommending().recommend(caller.shop, user_keys, body.request(), rec_id, now)
    note(**served.log)
    return answer(served.to_record())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the answer to one HTTP request."""
    return serve("recommend", app, event, context)
