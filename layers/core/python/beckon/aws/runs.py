"""Runs of this function, started apart from this one."""

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class LambdaRuns:
    """The adapter of `learning.ports.Runs`: the function invokes itself, asynchronously.

    Raises:
        ClientError: the invocation was not taken; the schedule's own failure place then says so.
    """

    def __init__(self, client: "LambdaClient", function: str) -> None:
        self._client, self._function = client, function

    def start(self, shop: str) -> None:
        """Invoke the function with `{"shop": …}`; Lambda retries it and keeps what failed."""
        payload = orjson.dumps({"shop": shop})
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=payload)
