import json
from datetime import UTC, datetime

import pytest

from infra.local.parts import Schedule
from infra.local.schedules import due, event

TUESDAY = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 day)", "2026-11-25T07:00"),
        ("rate(5 minutes)", "2026-11-24T07:05"),
        ("cron(15 2 * * ? *)", "2026-11-25T02:15"),
        ("cron(0/15 8 * * ? *)", "2026-11-24T08:00"),
        ("cron(0 9 ? * 1 *)", "2026-11-29T09:00"),  # 1 is Sunday
        ("cron(0 9 ? * SUN *)", "2026-11-29T09:00"),
        ("cron(0 9 ? * 4-6 *)", "2026-11-25T09:00"),  # Wednesday to Friday
        ("cron(0 9 ? * 6#3 *)", "2026-12-18T09:00"),  # the third Friday
        ("cron(0 9 ? * 6L *)", "2026-11-27T09:00"),  # the last Friday
        ("cron(0 9 L * ? *)", "2026-11-30T09:00"),
        ("cron(0 9 1 1 ? 2028)", "2028-01-01T09:00"),
        ("at(2026-11-25T10:30:00)", "2026-11-25T10:30"),
    ],
)
def test_a_schedule_is_next_due_when_eventbridge_says(expression: str, expected: str) -> None:
    moment = due(expression, "UTC", TUESDAY)
    assert moment is not None
    assert moment.strftime("%Y-%m-%dT%H:%M") == expected


@pytest.mark.parametrize("expression", ["at(2020-01-01T00:00:00)", "cron(0 9 1 1 ? 2020)"])
def test_a_schedule_whose_time_is_over_is_never_due(expression: str) -> None:
    assert due(expression, "UTC", TUESDAY) is None


def test_a_schedule_keeps_the_time_of_its_zone() -> None:
    winter, summer = due("cron(15 2 * * ? *)", "Europe/Berlin", TUESDAY), datetime(2026, 7, 1, tzinfo=UTC)
    assert winter == datetime(2026, 11, 25, 1, 15, tzinfo=UTC)
    assert due("cron(15 2 * * ? *)", "Europe/Berlin", summer) == datetime(2026, 7, 1, 0, 15, tzinfo=UTC)


@pytest.mark.parametrize("expression", ["1 day", "rate(1 fortnight)", "rate(day)", "cron(* * * * *)", "cron(x)"])
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        due(expression, "UTC", TUESDAY)


def test_a_run_without_input_gets_the_service_s_own_event() -> None:
    scheduled = json.loads(event(Schedule("Nightly", "aws.scheduler", "", "UTC", "f", None), 1_700_000_000))
    assert scheduled["source"] == "aws.scheduler"
    assert scheduled["time"] == "2023-11-14T22:13:20Z"
    assert scheduled["detail"] == "{}"
    ruled = json.loads(event(Schedule("Nightly", "aws.events", "", "UTC", "f", None), 1_700_000_000))
    assert (ruled["detail-type"], ruled["detail"]) == ("Scheduled Event", {})
    assert ruled["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/Nightly"]


def test_an_input_is_passed_as_it_is_with_the_scheduled_time_put_in() -> None:
    payload = '{"at": "<aws.scheduler.scheduled-time>"}'
    passed = event(Schedule("Nightly", "aws.scheduler", "", "UTC", "f", payload), 1_700_000_000)
    assert json.loads(passed) == {"at": "2023-11-14T22:13:20Z"}
