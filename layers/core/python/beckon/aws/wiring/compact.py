"""What compact runs with."""

from functools import cache

from beckon.aws import clients
from beckon.aws.lake import S3LakeStore
from beckon.aws.settings import LakeSettings
from beckon.lake.compaction import Compaction


@cache
def compaction() -> Compaction:
    """Return the container's compaction."""
    return Compaction(S3LakeStore(clients.s3(), LakeSettings.from_environment().lake_bucket))
