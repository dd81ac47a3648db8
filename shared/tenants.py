"""The tenants: whose orders, who may post for them, who may read them.

The default tenant is made of environment variables; others stand in `GELATO_TENANTS_FILE`, one table each:

    [acme]
    secrets = ["..."]              # or one string; several while a secret is rotated
    header = "X-Webhook-Secret"    # optional
    read_tokens = ["..."]
    tenant_tokens = ["..."]
    customer_reference = "..."     # GelatoConnect's Customer-Reference-ID
    [acme.api]                     # Gelato's order API
    key = "..."
    url = "..."                    # optional
    [other.api]                    # or the three URLs of a GelatoConnect connector
    key = "key:secret"
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
from urllib.parse import urlsplit

from shared.errors import ConfigurationError
from shared.secret import Secret
from shared.settings import DEFAULT_TENANT, Settings

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
#: What a process says once when it was told to read a file that cannot be used; what it cannot use stands beside it.
NOT_RELOADED: Final = "tenants not reloaded, the previous ones stay in force: mend the file, and send SIGHUP again"
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
_CONNECTOR: Final = frozenset({"submit_url", "get_url", "search_url"})
#: The remedy that every error about the file ends with.
_SEE: Final = "see docs/reference/configuration.md for its form"
_API: Final = _CONNECTOR | {"key", "url"}
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
#: What may stand in a header.
_PRINTABLE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")


@dataclass(frozen=True)
class Api:
    """Where a tenant's orders are asked for. `urls`: `url` of the order API, or a connector's three; empty for neither."""

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
        api=_default_api(settings),
    )
    tenants = {DEFAULT_TENANT: default}
    if settings.tenants_file is not None:
        for name, table in _tables(settings.tenants_file).items():
            tenants[name] = _tenant(tenants.get(name, Tenant(name, header.lower())), table, settings)
    return Tenants(tenants, settings.ops_token)


def _tuple(secret: Secret | None) -> tuple[Secret, ...]:
    return () if secret is None else (secret,)


def _tables(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"GELATO_TENANTS_FILE: {path}: {error.strerror}; {_SEE}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"GELATO_TENANTS_FILE: {path} is not TOML: {error}; {_SEE}") from None
    tables = content["tenants"] if list(content) == ["tenants"] else content
    return dict(tables)


def _default_api(settings: Settings) -> Api:
    _check_url(settings.api_url, "GELATO_API_URL", settings)
    if settings.api_key is None:
        return Api()
    _check_header(settings.api_key.reveal(), "GELATO_API_KEY")
    return Api(settings.api_key, {"url": settings.api_url})


def _tenant(base: Tenant, table: Any, settings: Settings) -> Tenant:
    where = f"GELATO_TENANTS_FILE: {settings.tenants_file}: [{base.name}]"
    if not NAME.fullmatch(base.name):
        raise ConfigurationError(f"{where}: a tenant's name is lower case letters, digits, _ and -, at most 63")
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where}: must be a table; {_SEE}")
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
            _check_header(value, f"{where} customer_reference")
            changes["customer_reference"] = value
        elif key == "api":
            changes["api"] = _api(value, where, settings)
        else:
            raise ConfigurationError(f"{where} {key}: there is no such setting; {_SEE}")
    return replace(base, **changes)


def _api(table: Any, where: str, settings: Settings) -> Api:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ConfigurationError(f"{where} api: must be a table of texts")
    unknown = sorted(set(table) - _API)
    if unknown:
        raise ConfigurationError(f"{where} api.{unknown[0]}: there is no such setting; {_SEE}")
    urls = {name: url for name, url in table.items() if name != "key"}
    for name, url in urls.items():
        _check_url(url, f"{where} api.{name}", settings)
    if urls.keys() & _CONNECTOR and urls.keys() != _CONNECTOR:
        raise ConfigurationError(
            f"{where} api: a connector has submit_url, get_url and search_url, all three; Gelato's order API has url"
        )
    key = table.get("key")
    if key:
        _check_header(key, f"{where} api.key")
    return Api(Secret(key) if key else None, urls or {"url": settings.api_url})


def _check_url(url: str, where: str, settings: Settings) -> None:
    """A URL is not quoted in an error: somebody may have put a key into it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{where}: is no URL") from None
    if not _PRINTABLE.fullmatch(url) or " " in url or parts.scheme not in ("https", "http") or not host:
        raise ConfigurationError(f"{where}: must be a URL that begins with https://")
    if parts.username is not None or parts.fragment:
        raise ConfigurationError(f"{where}: must have no user, password or #; the key stands in api.key")
    if parts.scheme == "http" and host not in _LOOPBACK and not settings.api_plain_http:
        raise ConfigurationError(f"{where}: http:// would send the key unencrypted; see GELATO_API_PLAIN_HTTP")


def _check_header(value: str, where: str) -> None:
    if not _PRINTABLE.fullmatch(value):
        raise ConfigurationError(f"{where}: must be printable ASCII, since it is sent in a header")
