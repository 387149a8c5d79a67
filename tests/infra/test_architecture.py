"""Arrows point downward, handlers are thin, and what the README tells people to type exists."""

import ast
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

HANDLERS = sorted((ROOT / "functions").glob("*/app.py"))
MAY_IMPORT = {"aws_lambda_powertools", "beckon", "collections", "dataclasses", "functools", "secrets", "time", "typing"}
MOST_LINES = 40


def test_arrows_run_downward() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "layers/core/python")}
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout
    assert "arrows run downward KEPT" in found.stdout


def test_there_is_a_handler_for_every_function() -> None:
    names = [path.parent.name for path in HANDLERS]
    assert names == ["archive", "attribute", "collect", "compact", "manage", "recommend", "retrain"]


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_a_handler_is_thin(path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    tree = ast.parse(text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported
    assert {name.split(".")[0] for name in imported} <= MAY_IMPORT
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.Match | ast.While)]
    assert len(branches) <= 1, "a handler parses, calls one service and answers"


def test_no_module_outgrows_a_sitting() -> None:
    modules = [path for room in ("functions", "layers", "infra") for path in (ROOT / room).rglob("*.py")]
    assert len(modules) > 100
    assert [str(path) for path in modules if len(path.read_text().splitlines()) > 300] == []


def readme() -> str:
    return (ROOT / "README.md").read_text()


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_command_the_readme_names_is_a_target() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)", readme()))
    assert {"demo", "test", "up", "replay", "build", "deploy"} <= named
    assert named <= targets()


def test_every_target_has_a_line_of_help() -> None:
    declared = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {name for line in declared for name in line.split()} == targets()


def test_every_route_is_documented(translated) -> None:
    routes = {
        path for one in translated["Resources"].values() for path in one["Properties"].get("Body", {}).get("paths", {})
    }
    assert "/v1/recommendations" in routes
    undocumented = {path for path in routes if path.split("{")[0].rstrip("/") not in readme()}
    assert not undocumented


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(readme().splitlines()) <= 150


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", readme())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_no_lock_file_names_a_registry() -> None:
    names = {"requirements.txt", "sam.txt", "runtime.txt", "peers.txt"}
    locks = [path for path in ROOT.glob("*/**/*.txt") if path.name in names]
    locks = [path for path in locks if not {".venv", "build", ".aws-sam"} & set(path.relative_to(ROOT).parts[:-1])]
    assert len(locks) == 7
    for path in locks:
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--index-url|--find-links", text), path
