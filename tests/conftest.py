"""What every suite shares: credentials that reach no real account, and moto's server with the template's resources."""

import os

# Before anything imports boto3: a test must never find a real account.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_SESSION_TOKEN="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_ENDPOINT_URL="http://127.0.0.1:9",  # the discard port: a test without the `aws` fixture reaches nothing
)

import importlib.util
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    from infra.local.resources import moto_server

    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def translated() -> Any:
    from infra.local.template import translate

    return translate(ROOT / "template.yaml")


@pytest.fixture
def aws(moto_url: str, translated: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The template's stateful resources, empty, on a moto server that the clients of `beckon.aws` reach."""
    from infra.local.resources import provision

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=10).close()
    forget_clients()
    yield provision(translated, moto_url)
    forget_clients()


@pytest.fixture
def environment(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """Give this process the environment that the template gives a function; return it."""

    def enter(function: str) -> dict[str, str]:
        for name in [name for name in os.environ if name.startswith("BECKON_")]:
            monkeypatch.delenv(name)
        found: dict[str, str] = aws.environment(function)
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        return found

    return enter


@pytest.fixture
def function(environment: Callable[[str], dict[str, str]]) -> Callable[[str], ModuleType]:
    """Return a function's `app` module, imported afresh in its own environment: `function("collect").handler`."""

    def load(name: str) -> ModuleType:
        environment(name)
        forget_clients()
        return load_app(name)

    return load


@pytest.fixture
def table(environment: Callable[[str], dict[str, str]]) -> str:
    return environment("collect")["BECKON_TABLE"]


@pytest.fixture
def secret(environment: Callable[[str], dict[str, str]]) -> str:
    return environment("collect")["BECKON_SECRET"]


@pytest.fixture
def lake_bucket(environment: Callable[[str], dict[str, str]]) -> str:
    return environment("archive")["BECKON_LAKE_BUCKET"]


@pytest.fixture
def model_bucket(environment: Callable[[str], dict[str, str]]) -> str:
    return environment("recommend")["BECKON_MODEL_BUCKET"]


@pytest.fixture
def context() -> Any:
    """A Lambda context with a quarter of an hour left."""
    return SimpleNamespace(
        aws_request_id=str(uuid.uuid4()),
        function_name="test",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:test",
        get_remaining_time_in_millis=lambda: 900_000,
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, where there is one."""
    if not SHARED.exists():
        pytest.skip("no ../shared folder with real data")
    return SHARED


def load_app(name: str) -> ModuleType:
    """Import functions/<name>/app.py under a name of its own, since every function's module is called `app`."""
    spec = importlib.util.spec_from_file_location(f"app_{name}", ROOT / "functions" / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def forget_clients() -> None:
    """Clear what `beckon.aws` keeps for a container's life: clients, the secret, wired services."""
    for name, module in list(sys.modules.items()):
        if name.startswith("beckon.aws"):
            for kept in vars(module).values():
                if hasattr(kept, "cache_clear"):
                    kept.cache_clear()
