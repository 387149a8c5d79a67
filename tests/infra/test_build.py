"""What is built, what it weighs, and what the commands say when they are used wrongly."""

import json
from pathlib import Path

import pytest

from infra.build import __main__ as command
from infra.build import invoke, sam
from infra.build.sam import Built
from infra.build.sizes import LIGHT, LIMIT_MIB, MIB, report, unzipped_bytes, weigh

ROOT = Path(__file__).resolve().parents[2]


def folder(root: Path, name: str, mib: float) -> Path:
    made = root / name
    (made / "deep").mkdir(parents=True)
    with (made / "deep" / "file").open("wb") as file:
        file.truncate(int(mib * MIB))
    return made


def test_functions_are_named_after_their_folders_and_carry_their_layers():
    found = sam.functions("arm64")
    assert list(found) == ["collect", "archive", "compact", "attribute", "retrain", "recommend", "manage"]
    retrain = found["retrain"]
    assert (retrain.logical_id, retrain.handler) == ("RetrainFunction", "app.handler")
    assert [layer.name for layer in retrain.layers] == ["CoreLayer", "DataLayer"]
    assert retrain.code == ROOT / "build" / "arm64" / ".aws-sam" / "build" / "RetrainFunction"
    assert sam.functions("x86_64")["retrain"].code == ROOT / ".aws-sam" / "build" / "RetrainFunction"


def test_functions_that_the_report_holds_to_the_light_limit_exist():
    assert set(sam.functions("x86_64")) > LIGHT


def test_a_function_weighs_itself_and_each_layer_unzipped(tmp_path):
    code = folder(tmp_path, "RetrainFunction", 0.5)
    layers = (folder(tmp_path, "CoreLayer", 11), folder(tmp_path, "DataLayer", 200))
    (weight,) = weigh([Built("retrain", "RetrainFunction", "app.handler", code, layers)], "arm64")
    assert weight.mib == 211.5
    assert not weight.is_over
    (row,) = report([weight])["functions"]
    assert row["layers_mib"] == {"CoreLayer": 11.0, "DataLayer": 200.0}
    assert (row["function"], row["architecture"], row["mib"]) == ("retrain", "arm64", 211.5)


@pytest.mark.parametrize(
    ("function", "mib", "is_over"),
    [("recommend", 250, False), ("recommend", 250.1, True), ("collect", 25, False), ("collect", 25.1, True)],
)
def test_the_limit_is_lambdas_or_our_own_where_cold_starts_count_most(tmp_path, function, mib, is_over):
    code = folder(tmp_path, "code", mib)
    (weight,) = weigh([Built(function, "F", "app.handler", code, ())], "x86_64")
    assert weight.is_over is is_over
    assert report([weight])["over"] == ([f"{function} (x86_64)"] if is_over else [])


def test_what_was_not_built_has_no_weight(tmp_path):
    with pytest.raises(FileNotFoundError, match="CoreLayer is not built"):
        unzipped_bytes(tmp_path / "CoreLayer")


def test_a_link_weighs_what_it_points_at(tmp_path):
    target = folder(tmp_path, "real", 1)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "file").symlink_to(target / "deep" / "file")
    assert unzipped_bytes(tmp_path / "linked") == MIB


@pytest.mark.parametrize(("own_mib", "status"), [(1, 0), (300, 1)])
def test_the_command_fails_when_a_function_is_too_heavy(tmp_path, monkeypatch, capsys, own_mib, status):
    functions = {"retrain": Built("retrain", "F", "app.handler", folder(tmp_path, "code", own_mib), ())}
    monkeypatch.setattr(sam, "build", lambda *_: tmp_path)
    monkeypatch.setattr(sam, "functions", lambda _: functions)
    monkeypatch.setattr(command, "REPORT", tmp_path / "size" / "report.json")
    assert command.main([]) == status
    told = json.loads((tmp_path / "size" / "report.json").read_text())
    assert told["limit_mib"] == LIMIT_MIB
    assert [row["architecture"] for row in told["functions"]] == ["x86_64", "arm64"]
    assert ("too heavy: retrain (x86_64), retrain (arm64)" in capsys.readouterr().err) is bool(status)


def test_a_source_that_changed_is_built_again(tmp_path, monkeypatch):
    for name in ("functions/collect/app.py", "layers/core/python/beckon/values.py", "infra/dev/sam.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "template.yaml").write_text("1")
    monkeypatch.setattr(sam, "ROOT", tmp_path)
    monkeypatch.setattr(sam, "TEMPLATE", tmp_path / "template.yaml")
    monkeypatch.setattr(sam, "__file__", str(tmp_path / "template.yaml"))
    digests = [sam.sources_digest("x86_64")]
    (tmp_path / "functions" / "collect" / "__pycache__").mkdir()
    (tmp_path / "functions" / "collect" / "__pycache__" / "app.pyc").write_text("2")
    assert sam.sources_digest("x86_64") == digests[0]
    assert sam.sources_digest("arm64") != digests[0]
    for name in ("functions/collect/app.py", "layers/core/python/beckon/values.py", "template.yaml"):
        (tmp_path / name).write_text("2")
        digests.append(sam.sources_digest("x86_64"))
    assert len(set(digests)) == 4


def test_every_function_has_an_example_event():
    for name in sam.functions("x86_64"):
        assert isinstance(json.loads((invoke.EVENTS / f"{name}.json").read_text()), dict)


def test_an_unknown_function_is_answered_with_the_names_there_are(capsys):
    assert command.main(["invoke", "recomend"]) == 2
    assert "FN is one of collect, archive, compact, attribute, retrain, recommend, manage" in capsys.readouterr().err


def test_a_missing_event_file_is_named(capsys):
    assert command.main(["invoke", "recommend", "nowhere.json"]) == 2
    assert "no event file nowhere.json" in capsys.readouterr().err


def test_a_function_that_is_not_built_is_said_to_be_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sam, "build_folder", lambda _: tmp_path)
    assert command.main(["invoke", "manage"]) == 2
    assert "manage is not built" in capsys.readouterr().err
