"""boto3 clients, made on first use and kept for the container's life, and the one secret."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

# Few attempts, since callers retry too (stream, SDK); short connects, since all is in-region.
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4}, connect_timeout=2, read_timeout=20, max_pool_connections=16
)


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the DynamoDB client."""
    return boto3.client("dynamodb", config=_CONFIG)


@cache
def s3() -> "S3Client":
    """Return the S3 client."""
    return boto3.client("s3", config=_CONFIG)


@cache
def functions() -> "LambdaClient":
    """Return the Lambda client."""
    return boto3.client("lambda", config=_CONFIG)


@cache
def secret(secret_id: str) -> bytes:
    """Return the deployment's one secret: the key of every pseudonym and every derived access-key secret."""
    return boto3.client("secretsmanager", config=_CONFIG).get_secret_value(SecretId=secret_id)["SecretString"].encode()
