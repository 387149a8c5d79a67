"""compact: merges each day of the lake into one sorted object. Safe to run twice, and to be killed."""

from functools import cache
from typing import Any

from beckon.aws.log import canonical_line
from beckon.aws.wiring.compact import compaction
from beckon.lake.compaction import Compaction


@cache
def service() -> Compaction:
    """Built from the environment on first use, then kept for the container's life."""
    return compaction()


def handler(_event: Any, context: Any) -> dict[str, Any]:
    """Return what was merged."""
    with canonical_line("compact", context.aws_request_id) as line:
        done = service().run(context.get_remaining_time_in_millis).to_answer()
        line.update(done)
        return done
