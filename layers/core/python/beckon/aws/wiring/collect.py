"""What collect runs with."""

from functools import cache

from beckon.aws import clients
from beckon.aws.collecting import Collector
from beckon.aws.events import DynamoEventLog, DynamoRejections
from beckon.aws.settings import CollectSettings
from beckon.aws.wiring.access import access
from beckon.events.bots import DeclaredBots
from beckon.events.service import Collection
from beckon.values import DAY_MS


@cache
def collector() -> Collector:
    """Return the container's collector."""
    settings = CollectSettings.from_environment()
    client = clients.dynamodb()
    return Collector(
        access=access(),
        collection=Collection(
            DynamoEventLog(client, settings.table, settings.retention_days),
            DynamoRejections(client, settings.table),
            DeclaredBots(),
        ),
        secret=clients.secret(settings.secret),
        retention_ms=settings.retention_days * DAY_MS,
    )
