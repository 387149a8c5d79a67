"""The access service that every function with callers shares."""

from functools import cache

from pydantic import ConfigDict

from beckon.access.service import Access
from beckon.aws import clients
from beckon.aws.keys import DynamoKeys
from beckon.aws.settings import Settings


class AccessSettings(Settings):
    """The settings every function has; what a function needs besides, its own settings check."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@cache
def access() -> Access:
    """Return the container's one access service, with its memory of keys."""
    settings = AccessSettings.from_environment()
    return Access(DynamoKeys(clients.dynamodb(), settings.table), clients.secret(settings.secret))
