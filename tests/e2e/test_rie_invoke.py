"""`python -m infra.build invoke`: from nothing, and against a stack that is up."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.build import __main__ as command
from infra.build import invoke
from infra.local.stack import LocalStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rie")]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def up(built, tmp_path_factory) -> Iterator[Path]:
    """The file that a stack of this module's own would write to build/local/env."""
    path = tmp_path_factory.mktemp("up") / "env"
    with LocalStack() as stack:
        path.write_text("".join(f"export {name}='{value}'\n" for name, value in stack.environment.items()))
        yield path


@pytest.fixture
def against_stack(up, monkeypatch):
    monkeypatch.setattr(invoke, "LOCAL_ENV", up)
    monkeypatch.setattr(invoke, "has_docker", lambda: False)


def test_from_nothing_it_prints_the_answer_and_what_was_measured(built):
    run = [sys.executable, "-m", "infra.build", "invoke", "collect"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    body = json.loads(told["answer"]["body"])
    assert (body["accepted"], [each["message_id"] for each in body["rejected"]]) == (2, ["m-bad-1"])
    if told["runner"] == "emulator":
        assert told["init_ms"] > told["duration_ms"] > 0
        assert 20 < told["peak_mib"] < 512


@pytest.mark.parametrize("name", ["archive", "attribute", "compact", "retrain", "recommend", "manage"])
def test_every_example_event_is_one_its_function_takes(name, against_stack):
    measured = invoke.invoke(name)
    assert not measured.failed
    assert measured.answer.get("statusCode", 200) == 200
    assert measured.answer.get("batchItemFailures", []) == []
    assert measured.peak_mib > 20


def test_a_function_that_raises_fails_the_command(tmp_path, against_stack, capsys):
    event = tmp_path / "not-a-batch.json"
    event.write_text("{}")
    assert command.main(["invoke", "archive", str(event)]) == 1
    assert json.loads(capsys.readouterr().out)["answer"]["errorType"] == "KeyError"


def test_an_event_that_is_not_json_is_refused(tmp_path, against_stack, capsys):
    event = tmp_path / "event.json"
    event.write_text("{'single': 'quotes'}")
    assert command.main(["invoke", "manage", str(event)]) == 2
    assert "is not JSON" in capsys.readouterr().err


def test_a_stack_that_is_up_lends_its_resources_and_keys(against_stack, capsys):
    """What was sent before is a duplicate only where it was kept: in the stack's table."""
    invoke.invoke("collect")
    again = json.loads(invoke.invoke("collect").answer["body"])
    assert (again["accepted"], again["duplicates"]) == (2, 2)
    assert "no local stack is up" not in capsys.readouterr().err
