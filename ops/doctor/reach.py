"""Whether webhooks get through: a test notification is posted to the public URL, as Gelato would. It touches nothing."""

import ipaddress
import time
from typing import Final

import httpx

from shared import tenants
from shared.errors import ConfigurationError
from shared.settings import DEFAULT_TENANT, Settings
from shared.store.durability import Finding, Level
from shared.tenants import Tenant

_PATH: Final = "/webhooks/gelato"
_TIMEOUT_SECONDS: Final = 10.0
_SLOW_SECONDS: Final = 1.0
#: What Gelato's *Send test* button posts: the placeholder makes it a test.
_TEST: Final = {
    "object": "orderStatus",
    "id": "os_doctor",
    "orderId": "a6a1f9ce-2bdd-4a9e-9f8d-0009df0e24d9",
    "orderReferenceId": "{{MyOrderId}}",
    "fulfillmentStatus": "passed",
    "items": [],
}
#: What an answer means that is not the one expected: what is so, and the remedy.
_REFUSALS: Final = {
    401: (
        "the secret was not accepted",
        "the receiver there has another secret or header, or a proxy takes the header away",
    ),
    403: ("it is forbidden", "a proxy or firewall in front of the receiver is in the way"),
    404: ("there is no such path", f"the URL ends in {_PATH} or {_PATH}/TENANT; a proxy must pass the path on"),
    405: ("POST is not allowed", "another service answers there, or a proxy is in the way"),
    413: ("even a small body is too large", "a proxy in front of the receiver is in the way"),
    503: ("the receiver is reached, and can take nothing", "see the other lines of this list on its machine"),
}


def reach(settings: Settings, public_url: str) -> Finding:
    """Post a test notification to a URL (its path may be left out); what came of it."""
    try:
        url = httpx.URL(public_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise httpx.InvalidURL("no http(s) URL")
    except (httpx.InvalidURL, ValueError):
        return Finding(Level.ERROR, "the URL cannot be used", f"https://HOST{_PATH}")
    if url.path in ("", "/"):
        url = url.copy_with(path=_PATH)
    shown = f"{url.scheme}://{url.netloc.decode()}{url.path}"  # without credentials and query
    try:
        tenant = _tenant(settings, url.path)
    except ConfigurationError as error:
        return Finding(Level.ERROR, str(error), "the secret must be known here too; see `gelato-rollup config`")
    start = time.perf_counter()
    try:
        headers = {tenant.header: tenant.secrets[0].reveal()}
        answer = httpx.post(url, json=_TEST, headers=headers, timeout=_TIMEOUT_SECONDS, follow_redirects=False)
    except httpx.HTTPError as error:
        what = f"{shown} cannot be reached: {type(error).__name__}: {error}"
        return Finding(Level.ERROR, what, "name, port, certificate, firewall, proxy: in this order")
    return _judged(shown, url, answer, time.perf_counter() - start)


def _judged(shown: str, url: httpx.URL, answer: httpx.Response, seconds: float) -> Finding:
    if answer.status_code == 200 and _result(answer) == "test":
        if url.scheme == "http" and not _is_local(url.host):
            return Finding(Level.WARNING, f"{shown} works, without TLS: the secret is sent in the clear", "https://")
        level = Level.WARNING if seconds > _SLOW_SECONDS else Level.OK
        return Finding(level, f"{shown} takes a test notification in {seconds * 1000:.0f} ms", "see `server` above")
    if answer.is_redirect:
        return Finding(Level.ERROR, f"{shown} redirects", "give Gelato the address that it leads to")
    what, remedy = _REFUSALS.get(
        answer.status_code,
        ("that is no answer of a receiver", "another service answers there, or a proxy is in the way"),
    )
    return Finding(Level.ERROR, f"{shown} answers {answer.status_code}: {what}", remedy)


def _tenant(settings: Settings, path: str) -> Tenant:
    """The tenant whose webhooks a path takes. Raises `ConfigurationError` without one, or without its secret."""
    _, found, name = path.partition(f"{_PATH}/")
    name = name.strip("/") if found else DEFAULT_TENANT
    tenant = tenants.load(settings).by_name.get(name)
    if tenant is None or not tenant.secrets:
        raise ConfigurationError(f"no webhook secret is known for tenant {name!r}")
    return tenant


def _result(answer: httpx.Response) -> object:
    try:
        content = answer.json()
    except ValueError:
        return None
    return content.get("result") if isinstance(content, dict) else None


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
