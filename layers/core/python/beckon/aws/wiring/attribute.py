"""attribute, wired: exposures read from and outcomes written to the table."""

from functools import cache

from beckon.aws import clients
from beckon.aws.exposures import DynamoExposures
from beckon.aws.outcomes import DynamoOutcomes
from beckon.aws.settings import AttributeSettings
from beckon.conversions.service import Attribution
from beckon.values import DAY_MS


@cache
def attribution() -> Attribution:
    """Return the service, built from the environment on first use and kept for the container's life."""
    settings = AttributeSettings.from_environment()
    table = clients.dynamodb(), settings.table
    window_ms = settings.attribution_days * DAY_MS
    return Attribution(
        exposures=DynamoExposures(*table, kept_ms=window_ms),  # it only reads them
        outcomes=DynamoOutcomes(*table),
        window_ms=window_ms,
        retention_ms=settings.retention_days * DAY_MS,
    )
