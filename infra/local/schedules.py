"""The template's schedules: when each is due, and the event that its function is given."""

import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from infra.local.asynchronous import Asynchronous
from infra.local.clock import Clock
from infra.local.parts import Schedule
from infra.local.template import ACCOUNT, REGION

_EXPRESSION = re.compile(r"(rate|cron|at)\((.+)\)")
_WEEKDAY = re.compile(r"(?<![#/\d])[1-7](?!\d)")
_CRON_FIELDS = 6


def due(expression: str, zone: str, after: datetime) -> datetime | None:
    """Return when a schedule is next due after `after`; None if never again.

    A rate counts from `after`, where EventBridge Scheduler would also run it at once: a stack starts empty.

    Raises:
        ValueError: not a rate(), cron() or at() expression as EventBridge writes them.
    """
    found = _EXPRESSION.fullmatch(expression.strip())
    if not found:
        raise ValueError(f"{expression!r} is no schedule; it must be rate(…), cron(…) or at(…)")
    kind, text = found.groups()
    if kind == "rate":
        number, unit = text.split()
        return after + timedelta(**{unit.rstrip("s") + "s": int(number)})
    local = after.astimezone(ZoneInfo(zone))
    if kind == "at":
        moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
        return moment.astimezone(UTC) if moment > local else None
    try:
        next_one: datetime = croniter(_standard_cron(text), local).get_next(datetime)
    except CroniterBadDateError:  # all its years are over
        return None
    return next_one.astimezone(UTC)


def _standard_cron(text: str) -> str:
    """Return EventBridge's six fields as croniter's seven: Sunday is 0, seconds are 0, the year is last."""
    fields = text.replace("?", "*").split()
    if len(fields) != _CRON_FIELDS:
        raise ValueError(f"cron({text}) must have {_CRON_FIELDS} fields: minute hour day month weekday year")
    minute, hour, day, month, weekday, year = fields
    weekday = _WEEKDAY.sub(lambda digit: str(int(digit[0]) - 1), weekday)
    weekday = re.sub(r"(\d)L", r"L\1", weekday)  # a month's last one
    return f"{minute} {hour} {day} {month} {weekday} 0 {year}"


def event(schedule: Schedule, moment: float) -> bytes:
    """Return the event of a run that is due at `moment`: the schedule's own input, or the service's default."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    if schedule.payload is not None:
        return schedule.payload.replace("<aws.scheduler.scheduled-time>", when).encode()
    default = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": schedule.service,
        "account": ACCOUNT,
        "time": when,
        "region": REGION,
        "resources": [schedule.arn],
        "detail": "{}" if schedule.service == "aws.scheduler" else {},
    }
    return json.dumps(default).encode()


async def keep(schedule: Schedule, asynchronous: Asynchronous, clock: Clock) -> None:
    """Start the schedule's function, asynchronously, whenever it is due."""
    moment = due(schedule.expression, schedule.zone, datetime.fromtimestamp(clock.now(), UTC))
    while moment is not None:
        await clock.until(moment.timestamp())
        asynchronous.submit(schedule.function, event(schedule, moment.timestamp()))
        moment = due(schedule.expression, schedule.zone, moment)
