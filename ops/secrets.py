"""The secrets that `up` makes for itself, kept in the data directory, one file each, for its owner's eyes only."""

import dataclasses
import os
import secrets
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError
from shared.secret import Secret
from shared.settings import Settings, embedded_url

WEBHOOK_SECRET: Final = "webhook-secret"  # noqa: S105  (a file's name)
OPS_TOKEN: Final = "ops-token"  # noqa: S105  (a file's name)


def with_generated(settings: Settings) -> Settings:
    """Fill what the environment does not say from the files of the data directory."""
    changes: dict[str, object] = {}
    if settings.redis_url is None and embedded_url(settings.data_dir) is not None:
        changes["spool_persistent"] = True  # the embedded database lives there: so may the spool
    if not settings.webhook_secrets and (webhook := _read(settings.data_dir / WEBHOOK_SECRET)):
        changes["webhook_secrets"] = (webhook,)
    if settings.ops_token is None and (token := _read(settings.data_dir / OPS_TOKEN)):
        changes["ops_token"] = token
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


def generate(settings: Settings) -> tuple[Settings, list[str]]:
    """Make what is still missing; the settings with it, and the names of the files that were made just now."""
    settings = with_generated(settings)
    made = []
    if not settings.webhook_secrets:
        _make(settings.data_dir / WEBHOOK_SECRET)
        made.append(WEBHOOK_SECRET)
    if settings.ops_token is None:
        _make(settings.data_dir / OPS_TOKEN)
        made.append(OPS_TOKEN)
    return with_generated(settings), made


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment that hands these secrets to a child process."""
    environment = dict(os.environ)
    if settings.webhook_secrets:
        environment["GELATO_WEBHOOK_SECRET"] = ",".join(secret.reveal() for secret in settings.webhook_secrets)
    if settings.ops_token is not None:
        environment["GELATO_OPS_TOKEN"] = settings.ops_token.reveal()
    return environment


def _read(path: Path) -> Secret | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return Secret(text) if text else None


def _make(path: Path) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    except OSError as error:
        raise ConfigurationError(f"GELATO_DATA_DIR: {path}: {error.strerror}") from None
