"""One running local stack for the tests of a worker."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest

from infra.build import sam
from infra.local.stack import LocalStack


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        yield running


@pytest.fixture(scope="session")
def call(stack: LocalStack) -> Callable[..., httpx.Response]:
    """`call(method, path, key, body)` over real HTTP; a body of bytes or text is sent as it is."""
    client = httpx.Client(base_url=stack.url, timeout=30, trust_env=False)

    def send(method: str, path: str, key: str | None = None, body: Any = None, **headers: str) -> httpx.Response:
        auth = (key, "") if key is not None else None
        sent = {"content": body} if isinstance(body, str | bytes) else {"json": body} if body is not None else {}
        return client.request(
            method, path, auth=auth, headers={k.replace("_", "-"): v for k, v in headers.items()}, **sent
        )

    return send


@pytest.fixture(scope="session")
def rows(stack: LocalStack) -> Callable[[str], list[dict[str, Any]]]:
    """Every record of the table whose sort key starts with a prefix."""
    table = boto3.client(
        "dynamodb",
        endpoint_url=stack.environment["AWS_ENDPOINT_URL"],
        region_name=stack.environment["AWS_REGION"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )

    def find(prefix: str) -> list[dict[str, Any]]:
        pages = table.get_paginator("scan").paginate(TableName=stack.environment["BECKON_TABLE"])
        return [row for page in pages for row in page["Items"] if row["SK"]["S"].startswith(prefix)]

    return find


@pytest.fixture(scope="session")
def built() -> dict[str, sam.Built]:
    """Every function as `sam build` leaves it for this machine's processor; built only if a source changed."""
    sam.build(sam.host_architecture())
    return sam.functions(sam.host_architecture())
