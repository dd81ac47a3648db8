"""The settings in force, as people may see them: secrets masked, and where each value comes from."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.secret import SecretUrl
from shared.settings import Settings


class Shown(NamedTuple):
    """One setting: its variable, its value (secrets masked; None: not set), where that comes from, what it means."""

    variable: str
    value: str | int | float | None
    origin: str
    about: str


def shown(settings: Settings, environment: Mapping[str, str] | None = None) -> list[Shown]:
    """Every setting. `origin` is `environment`, `data directory` (made by `up`) or `default`."""
    environment = os.environ if environment is None else environment
    return [_shown(each, settings, environment) for each in dataclasses.fields(Settings)]


def data_server(settings: Settings) -> str:
    """The URL of the data server in force, without its password."""
    return repr(SecretUrl(settings.where()))


def _shown(each: "dataclasses.Field[Any]", settings: Settings, environment: Mapping[str, str]) -> Shown:
    variable = each.metadata["variable"]
    value = getattr(settings, each.name)
    url = {"redis_url": settings.where, "rq_redis_url": settings.where_rq}.get(each.name)
    origin = "environment" if environment.get(variable) else "data directory" if value != each.default else "default"
    return Shown(variable, repr(SecretUrl(url())) if url else masked(value), origin, each.metadata["about"])


def masked(value: Any) -> str | int | float | None:
    """A value as people may see it: a secret's own text is its mask."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or None
    return value if isinstance(value, (int, float, type(None))) else str(value)
