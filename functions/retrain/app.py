"""retrain: a shop's lake and catalogue in, a model out, promoted if it is good. Safe to run twice, and to be killed."""

import time
from typing import Any

from beckon.aws.log import canonical_line
from beckon.aws.wiring.retrain import retraining, runs
from beckon.values import shop_id


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return what came of `{"shop": …, "force"?: true}`; else start such a run for each shop that is due."""
    request = context.aws_request_id
    shop = event.get("shop")
    with canonical_line("retrain", request, shop=shop) as line:
        if shop is None:
            done = retraining().start_all(runs())
        else:
            now = time.time_ns() // 1_000_000
            remaining = context.get_remaining_time_in_millis
            done = retraining().retrain(shop_id(shop), request, now, remaining, force=event.get("force") is True)
        line.update({name: value for name, value in done.items() if name != "metrics"})
        return done
