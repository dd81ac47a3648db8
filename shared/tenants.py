"""The tenants: whose orders, who may post for them, who may read them.

The default tenant is made of environment variables; others stand in `GELATO_TENANTS_FILE`, one table each:

    [acme]
    secrets = ["..."]              # or one string; several while a secret is rotated
    header = "X-Webhook-Secret"    # optional
    read_tokens = ["..."]
    tenant_tokens = ["..."]
    customer_reference = "..."     # GelatoConnect's Customer-Reference-ID
    [acme.api]                     # Gelato's order API or a GelatoConnect connector
    key = "..."
    submit_url = "..."
    get_url = "..."
    search_url = "..."
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from shared.errors import ConfigurationError
from shared.settings import DEFAULT_TENANT, Secret, Settings

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: One word and its plural mean the same: a secret is a list of one.
_LISTS: Final = {
    "secret": "secrets",
    "secrets": "secrets",
    "read_token": "read_tokens",
    "read_tokens": "read_tokens",
    "tenant_token": "tenant_tokens",
    "tenant_tokens": "tenant_tokens",
}
_API: Final = frozenset({"key", "url", "submit_url", "get_url", "search_url"})


@dataclass(frozen=True)
class Api:
    """Where a tenant's orders are asked for."""

    key: Secret | None = None
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tenant:
    """One tenant. `header` is lower case, as ASGI has it."""

    name: str
    header: str = "x-webhook-secret"
    secrets: tuple[Secret, ...] = ()
    read_tokens: tuple[Secret, ...] = ()
    tenant_tokens: tuple[Secret, ...] = ()
    customer_reference: str | None = None
    api: Api = Api()


@dataclass(frozen=True)
class Tenants:
    """All tenants by name, and the operators' token."""

    by_name: Mapping[str, Tenant]
    ops_token: Secret | None = None

    def __iter__(self) -> Any:
        return iter(self.by_name.values())


def load(settings: Settings) -> Tenants:
    """The tenants of the settings and of the tenants file. Raises `ConfigurationError`, naming tenant and key."""
    header = settings.webhook_header
    if not _HEADER.fullmatch(header):
        raise ConfigurationError("GELATO_WEBHOOK_HEADER: must be the name of an HTTP header")
    default = Tenant(
        DEFAULT_TENANT,
        header.lower(),
        settings.webhook_secrets,
        _tuple(settings.read_token),
        _tuple(settings.tenant_token),
    )
    tenants = {DEFAULT_TENANT: default}
    if settings.tenants_file is not None:
        for name, table in _tables(settings.tenants_file).items():
            tenants[name] = _tenant(tenants.get(name, Tenant(name, header.lower())), table, settings.tenants_file)
    return Tenants(tenants, settings.ops_token)


def _tuple(secret: Secret | None) -> tuple[Secret, ...]:
    return () if secret is None else (secret,)


def _tables(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"GELATO_TENANTS_FILE: {path}: {error.strerror}; see the README for its form"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"GELATO_TENANTS_FILE: {path} is not TOML: {error}") from None
    tables = content["tenants"] if list(content) == ["tenants"] else content
    return dict(tables)


def _tenant(base: Tenant, table: Any, path: Path) -> Tenant:
    where = f"GELATO_TENANTS_FILE: {path}: [{base.name}]"
    if not NAME.fullmatch(base.name):
        raise ConfigurationError(f"{where}: a tenant's name is lower case letters, digits, _ and -, at most 63")
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where}: must be a table")
    changes: dict[str, Any] = {}
    for key, value in table.items():
        if key in _LISTS:
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
                raise ConfigurationError(f"{where} {key}: must be a text, or a list of texts, none of them empty")
            changes[_LISTS[key]] = tuple(Secret(text) for text in texts)
        elif key == "header":
            if not isinstance(value, str) or not _HEADER.fullmatch(value):
                raise ConfigurationError(f"{where} header: must be the name of an HTTP header")
            changes["header"] = value.lower()
        elif key == "customer_reference":
            if not isinstance(value, str) or not value:
                raise ConfigurationError(f"{where} customer_reference: must be a text")
            changes["customer_reference"] = value
        elif key == "api":
            changes["api"] = _api(value, where)
        else:
            raise ConfigurationError(f"{where} {key}: there is no such setting")
    return replace(base, **changes)


def _api(table: Any, where: str) -> Api:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ConfigurationError(f"{where} api: must be a table of texts")
    unknown = sorted(set(table) - _API)
    if unknown:
        raise ConfigurationError(f"{where} api.{unknown[0]}: there is no such setting")
    key = table.get("key")
    return Api(Secret(key) if key else None, {name: url for name, url in table.items() if name != "key"})
