"""retrain as Lambda runs it, on moto and real Parquet, and its model served by ranking's own loader."""

from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest
from botocore.exceptions import ClientError

from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.aws.lake import S3LakeStore
from beckon.aws.models import S3ModelStore
from beckon.aws.runs import LambdaRuns
from beckon.aws.wiring.retrain import retraining
from beckon.ranking.loading import load
from beckon.ranking.scorer import OnnxScorer
from tests.faulty import Failing
from tests.learning_shop import SHOP, VISITS, events_table, item, put


@pytest.fixture
def retrain(function, lake_bucket, table, model_bucket):
    """The function over a lake and a catalogue, with `.models` and the shops it `.started`."""
    app = function("retrain")
    put(S3LakeStore(clients.s3(), lake_bucket), events_table(VISITS))
    put(S3LakeStore(clients.s3(), lake_bucket), events_table({"ann": "xyx"}), shop="south")
    DynamoCatalogue(clients.dynamodb(), table).put([item("a", categories=("1",)), item("h", categories=("1",))])
    started = []
    app.runs = lambda: SimpleNamespace(start=started.append)
    return SimpleNamespace(handler=app.handler, models=S3ModelStore(clients.s3(), model_bucket), started=started)


def test_a_scheduled_event_starts_every_shop_that_is_due(retrain, context) -> None:
    assert retrain.handler({}, context) == {"started": [SHOP, "south"]}
    assert retrain.started == [SHOP, "south"]
    retrain.handler({"shop": SHOP}, context)
    assert retrain.handler({"time": "2026-09-21T00:00:00Z"}, context) == {"started": ["south"]}


def test_a_shops_model_passes_the_scorers_own_checks_and_serves(retrain, context) -> None:
    done = retrain.handler({"shop": SHOP}, context)
    assert done["promoted"]
    assert (done["rows"], done["items"]) == (28, 8)
    assert retrain.models.pointer(SHOP).model_id == done["model_id"]
    loaded = load(retrain.models, OnnxScorer.open, SHOP, done["model_id"])
    assert loaded.serving.history_length == 50
    assert retrain.models.pointer("south") is None


def test_running_twice_makes_one_model_and_force_another(retrain, context) -> None:
    retrain.handler({"shop": SHOP}, context)
    assert retrain.handler({"shop": SHOP}, context)["model_id"] is None
    assert len(retrain.models.models(SHOP)) == 1
    assert retrain.handler({"shop": SHOP, "force": True}, context)["model_id"] is not None


def test_the_run_is_one_line_in_the_log(retrain, context, capsys) -> None:
    retrain.handler({"shop": SHOP}, context)
    (line,) = [orjson.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert (line["function"], line["shop"], line["promoted"]) == ("retrain", SHOP, True)
    assert line["ms"] > 0


@pytest.mark.parametrize("writes", range(5))
def test_s3_that_refuses_leaves_the_old_model_and_the_next_run_finishes(retrain, context, model_bucket, writes) -> None:
    first = retrain.handler({"shop": SHOP}, context)
    slow = ClientError({"Error": {"Code": "SlowDown", "Message": "busy"}}, "PutObject")
    refusing = Failing(clients.s3(), "put_object", [None] * writes + [slow])
    service = replace(retraining(), models=S3ModelStore(refusing, model_bucket))
    later = 1_900_000_000_000
    with pytest.raises(ClientError):
        service.retrain(SHOP, "run-1", later, lambda: 900_000, force=True)
    assert retrain.models.pointer(SHOP).model_id == first["model_id"]
    assert service.retrain(SHOP, "run-2", later + 1_000, lambda: 900_000, force=True)["promoted"]


def test_a_run_is_started_by_an_asynchronous_invocation() -> None:
    sent = []
    runs = LambdaRuns(SimpleNamespace(invoke=lambda **call: sent.append(call)), "retrain-fn")
    runs.start("north")
    assert sent == [{"FunctionName": "retrain-fn", "InvocationType": "Event", "Payload": b'{"shop":"north"}'}]
