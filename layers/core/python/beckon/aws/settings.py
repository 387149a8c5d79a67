"""Each function's settings, read from `BECKON_*` once; a missing or unknown one fails the cold start by name.

Defaults live in template.yaml alone.
"""

import os
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "BECKON_"


class Settings(BaseModel):
    """What every function is told. Functions that need more extend it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    secret: str

    @classmethod
    def from_environment(cls) -> Self:
        """Return the settings found in the environment.

        Raises:
            RuntimeError: a setting is missing, unknown or out of range; the message names each.
        """
        found = {k.removeprefix(PREFIX).lower(): v for k, v in os.environ.items() if k.startswith(PREFIX)}
        try:
            return cls.model_validate(found)
        except ValidationError as fault:
            wrong = "; ".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in fault.errors())
            raise RuntimeError(f"{cls.__name__} in the function's environment: {wrong}") from None


class CollectSettings(Settings):
    """collect keeps events in the table for `retention_days`."""

    retention_days: Annotated[int, Field(ge=1)]


class LakeSettings(Settings):
    """archive and compact write Parquet to `lake_bucket`."""

    lake_bucket: str


class AttributeSettings(Settings):
    """attribute credits exposures served up to `attribution_days` before an event."""

    attribution_days: Annotated[int, Field(ge=1)]
    retention_days: Annotated[int, Field(ge=1)]


class RetrainSettings(Settings):
    """retrain reads `lake_bucket`, writes models to `model_bucket` and keeps the `models_kept` newest of a shop."""

    lake_bucket: str
    model_bucket: str
    models_kept: Annotated[int, Field(ge=1)]


class RecommendSettings(Settings):
    """recommend serves models of `model_bucket` and keeps exposures for `exposure_days`."""

    model_bucket: str
    retention_days: Annotated[int, Field(ge=1)]
    exposure_days: Annotated[int, Field(ge=1)]


class ManageSettings(Settings):
    """manage lists and moves the models of `model_bucket`, and makes profiles of events within `retention_days`."""

    model_bucket: str
    retention_days: Annotated[int, Field(ge=1)]
