"""What archive runs with."""

from functools import cache

from beckon.aws import clients
from beckon.aws.lake import S3LakeStore
from beckon.aws.settings import LakeSettings
from beckon.lake.archive import Archive


@cache
def archive() -> Archive:
    """Return the container's archive."""
    return Archive(S3LakeStore(clients.s3(), LakeSettings.from_environment().lake_bucket))
