"""What a built function finds around it under the emulator: its code, its layers and Lambda's runtime, nothing else."""

import time
from pathlib import Path

import pytest

from infra.build.rie import RUNTIME, NotRunnable, merge_layers, running
from infra.build.sam import Built

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rie")]

PROBE = """
import importlib, os, sys, time

def place(name):
    try:
        return importlib.import_module(name).__file__
    except ImportError as fault:
        return f"{type(fault).__name__}"

def handler(event, context):
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "hold_mib" in event:
        return len(bytearray(event["hold_mib"] * 2**20))
    return {
        "modules": {name: place(name) for name in event.get("import", [])},
        "path": sys.path,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "left": context.get_remaining_time_in_millis(),
    }
"""


@pytest.fixture
def probe(tmp_path: Path, built):
    code = tmp_path / "task"
    code.mkdir()
    (code / "app.py").write_text(PROBE)
    return Built("probe", "ProbeFunction", "app.handler", code, built["collect"].layers)


@pytest.fixture
def runner(probe):
    with running(probe, {"BECKON_TABLE": "told"}, timeout_seconds=30, memory_mb=256) as lambda_:
        yield lambda_


def test_only_layers_and_the_runtime_can_be_imported(runner):
    names = [
        "beckon",
        "pydantic",
        "aws_lambda_powertools",
        "boto3",
        "awslambdaric",
        "numpy",
        "pyarrow",
        "moto",
        "pytest",
    ]
    found = runner.invoke({"import": names}).value["modules"]
    layers, runtime = names[:3], names[3:5]
    assert all("/opt/python/" in found[name] for name in layers)
    assert all(found[name].startswith(str(RUNTIME)) for name in runtime)
    assert {found[name] for name in names[5:]} == {"ModuleNotFoundError"}


def test_the_path_is_lambdas(runner, probe):
    told = runner.invoke({}).value
    assert told["path"][0] == str(probe.code)
    assert told["path"][1].endswith("/opt/python")
    assert told["path"][-1] == str(RUNTIME)
    assert not [place for place in told["path"] if "site-packages" in place]
    assert told["folder"] == str(probe.code)


def test_nothing_of_the_callers_environment_gets_through(runner, monkeypatch):
    monkeypatch.setenv("BECKON_LEAK", "1")
    told = runner.invoke({}).value["environment"]
    assert told["BECKON_TABLE"] == "told"
    assert told["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert not {"HOME", "PYTHONPATH", "VIRTUAL_ENV", "BECKON_LEAK", "AWS_PROFILE"} & set(told)


def test_the_function_knows_its_deadline(runner):
    assert 0 < runner.invoke({}).value["left"] <= 30_000


def test_an_exception_is_an_answer_and_the_next_event_is_served(runner):
    failed = runner.invoke({"raise": "no such shop"})
    assert failed.is_error
    assert (failed.value["errorType"], failed.value["errorMessage"]) == ("ValueError", "no such shop")
    assert not runner.invoke({}).is_error


def test_a_function_that_takes_too_long_is_ended(probe):
    with running(probe, {}, timeout_seconds=2) as lambda_:
        late = lambda_.invoke({"sleep": 30})
    assert late.is_error
    assert "timed out after 2.00 seconds" in late.value["errorMessage"]
    assert late.milliseconds < 10_000


def test_a_killed_function_is_an_error(runner):
    assert runner.invoke({"exit": 3}).is_error


def test_peak_memory_is_the_functions_own(runner):
    assert runner.peak_bytes() == 0  # not started yet
    runner.invoke({})
    before = runner.peak_bytes()
    assert 5 * 2**20 < before < 100 * 2**20
    assert runner.invoke({"hold_mib": 200}).value == 200 * 2**20
    assert runner.peak_bytes() >= before + 190 * 2**20


def test_a_dependency_missing_from_the_layers_is_an_error(probe):
    (probe.code / "app.py").write_text("import numpy\n\ndef handler(event, context): ...\n")
    with running(probe, {}) as lambda_:
        failed = lambda_.invoke({})
        assert failed.is_error
        assert "No module named 'numpy'" in lambda_.log()


def test_running_leaves_no_trace_in_the_build(runner, probe):
    runner.invoke({"import": ["beckon"]})
    assert [path.name for path in probe.code.iterdir()] == ["app.py"]
    assert not list(probe.layers[0].rglob("__pycache__"))


def test_nothing_runs_after_the_block(probe):
    with running(probe, {}) as lambda_:
        lambda_.invoke({})
        pid = lambda_._process.pid
        assert Path(f"/proc/{pid}").exists()
    deadline = time.monotonic() + 5
    while processes_in(probe.code) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_in(probe.code) == []


def processes_in(folder: Path) -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if each.readlink() == folder:
                found.append(each.parent.name)
        except OSError:
            continue
    return found


def test_later_layers_lie_over_earlier_ones(tmp_path):
    for layer, content in {"one": {"a.py": "1", "pkg/b.py": "1"}, "two": {"a.py": "2", "pkg/c.py": "2"}}.items():
        for name, text in content.items():
            path = tmp_path / layer / "python" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    merge_layers((tmp_path / "one", tmp_path / "two"), tmp_path / "opt")
    merged = tmp_path / "opt" / "python"
    assert {str(p.relative_to(merged)): p.read_text() for p in merged.rglob("*.py")} == {
        "a.py": "2",
        "pkg/b.py": "1",
        "pkg/c.py": "2",
    }
    assert (tmp_path / "one" / "python" / "a.py").read_text() == "1"


def test_a_layer_that_is_not_built_is_named(probe, tmp_path):
    unbuilt = Built("probe", "ProbeFunction", "app.handler", probe.code, (tmp_path / "DataLayer",))
    with pytest.raises(NotRunnable, match="DataLayer is not built"), running(unbuilt, {}):
        pass


def test_the_data_layer_works_after_trimming(tmp_path, built):
    code = tmp_path / "data"
    code.mkdir()
    (code / "app.py").write_text(
        """
import io
import numpy as np
import onnx, onnx.checker, onnx.helper, onnx.reference
import pyarrow as pa, pyarrow.compute as pc, pyarrow.dataset, pyarrow.fs, pyarrow.parquet as pq

def handler(event, context):
    kept = io.BytesIO()
    pq.write_table(pa.table({"item": ["b", "a", "b"], "value": [1.5, 2.5, 4.0]}), kept, compression="zstd")
    read = pq.read_table(io.BytesIO(kept.getvalue()))
    sums = read.group_by("item").aggregate([("value", "sum")]).sort_by("item").to_pylist()
    f = onnx.TensorProto.FLOAT
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "g", [info("x", f, [1, 2])], [info("y", f, [1, 3])],
        [onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "w")],
    )
    model = onnx.helper.make_model(graph)
    onnx.checker.check_model(model)
    (y,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": np.array([[1, 10]], np.float32)})
    return {"sums": sums, "count": pc.count_distinct(read["item"]).as_py(), "y": y.tolist()}
"""
    )
    function = Built("data", "DataFunction", "app.handler", code, built["retrain"].layers)
    with running(function, {}, timeout_seconds=60) as lambda_:
        answer = lambda_.invoke({})
    assert answer.value == {
        "sums": [{"item": "a", "value_sum": 2.5}, {"item": "b", "value_sum": 5.5}],
        "count": 2,
        "y": [[30.0, 41.0, 52.0]],
    }
