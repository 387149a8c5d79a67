"""Cold starts are paid in imports: the light functions load no array library, and no JWT code before a token comes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"numpy", "pyarrow", "pandas", "onnx", "onnxruntime", "scipy", "jwt", "cryptography"}


@pytest.mark.parametrize("name", ["collect", "attribute", "manage"])
def test_a_light_function_imports_nothing_heavy_and_needs_no_environment(name) -> None:
    program = f"""
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("app", {str(ROOT / "functions" / name / "app.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert callable(module.handler)
json.dump(sorted(sys.modules), sys.stdout)
"""
    layers = str(ROOT / "layers" / "core" / "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": layers},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = {module.partition(".")[0] for module in json.loads(done.stdout)}
    assert "beckon" in loaded
    assert loaded & HEAVY == set()
