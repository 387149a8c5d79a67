"""recommend, wired: models from S3, history, catalogue and exposures in the table."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.aws.exposures import DynamoExposures
from beckon.aws.history import DynamoHistory
from beckon.aws.models import S3ModelStore
from beckon.aws.settings import RecommendSettings
from beckon.ranking.models import Models
from beckon.ranking.scorer import OnnxScorer
from beckon.ranking.service import Recommending
from beckon.values import DAY_MS

MODEL_BYTES = 256 * 1024 * 1024  # of model files a container holds; in memory they take 2.8 times as much
GATHERING_THREADS = 4


@cache
def recommending() -> Recommending:
    """Return the service, built from the environment on first use and kept for the container's life."""
    settings = RecommendSettings.from_environment()
    table = clients.dynamodb(), settings.table
    store = S3ModelStore(clients.s3(), settings.model_bucket)
    return Recommending(
        models=Models(store, OnnxScorer.open, ThreadPoolExecutor(1, "models"), MODEL_BYTES),
        history=DynamoHistory(*table),
        catalogue=DynamoCatalogue(*table),
        exposures=DynamoExposures(*table, kept_ms=settings.exposure_days * DAY_MS),
        retention_ms=settings.retention_days * DAY_MS,
        pool=ThreadPoolExecutor(GATHERING_THREADS, "gather"),
    )
