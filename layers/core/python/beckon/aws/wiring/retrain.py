"""retrain, wired: lake and models in S3, catalogue and leases in the table."""

import os
from functools import cache

from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.aws.keys import DynamoKeys
from beckon.aws.lake import S3LakeStore
from beckon.aws.leases import DynamoLeases
from beckon.aws.models import S3ModelStore
from beckon.aws.runs import LambdaRuns
from beckon.aws.settings import RetrainSettings
from beckon.learning.ports import Runs
from beckon.learning.service import Retraining


@cache
def retraining() -> Retraining:
    """Return the service, built from the environment on first use and kept for the container's life."""
    settings = RetrainSettings.from_environment()
    table = clients.dynamodb(), settings.table
    return Retraining(
        lake=S3LakeStore(clients.s3(), settings.lake_bucket),
        catalogue=DynamoCatalogue(*table),
        models=S3ModelStore(clients.s3(), settings.model_bucket),
        leases=DynamoLeases(*table),
        known_shops=DynamoKeys(*table).shops,
        models_kept=settings.models_kept,
    )


@cache
def runs() -> Runs:
    """Return where runs are started: this very function, whose name Lambda gives it."""
    return LambdaRuns(clients.functions(), os.environ["AWS_LAMBDA_FUNCTION_NAME"])
