"""manage, wired: items, keys, shops and people in the table, models in S3."""

import secrets
from functools import cache

from beckon.access.shops import Shops
from beckon.artefact.registry import Registry
from beckon.aws import clients
from beckon.aws.catalogue import DynamoCatalogue
from beckon.aws.keys import DynamoKeys
from beckon.aws.models import S3ModelStore
from beckon.aws.profiles import DynamoBehaviour
from beckon.aws.settings import ManageSettings
from beckon.profiles.service import Profiles
from beckon.values import DAY_MS


@cache
def settings() -> ManageSettings:
    """Return the function's settings, read once."""
    return ManageSettings.from_environment()


@cache
def catalogue() -> DynamoCatalogue:
    """Return the shops' items."""
    return DynamoCatalogue(clients.dynamodb(), settings().table)


@cache
def shops() -> Shops:
    """Return the operator's service of shops and keys."""
    keys = DynamoKeys(clients.dynamodb(), settings().table)
    return Shops(keys, clients.secret(settings().secret), secrets.token_bytes)


@cache
def registry() -> Registry:
    """Return the shops' models."""
    return Registry(S3ModelStore(clients.s3(), settings().model_bucket))


@cache
def profiles() -> Profiles:
    """Return the maker of people's profiles."""
    behaviour = DynamoBehaviour(clients.dynamodb(), settings().table)
    return Profiles(behaviour, catalogue(), settings().retention_days * DAY_MS)
