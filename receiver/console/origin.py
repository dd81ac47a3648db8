"""Where a request comes from: the client's address and scheme behind a proxy, and whether a form is one of our own.

`X-Forwarded-For` and `X-Forwarded-Proto` are believed of trusted proxies alone (`GELATO_TRUSTED_PROXIES`).
"""

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
_MOST_HOPS: Final = 10


def client_address(request: Request, trusted: Networks) -> str:
    """The address of whoever asks: the last one in the chain of proxies that is not a trusted proxy itself."""
    address = request.client.host if request.client else ""
    hops = [hop.strip() for value in request.headers.getlist("x-forwarded-for") for hop in value.split(",")]
    for hop in reversed(hops[-_MOST_HOPS:]):
        if not _is_trusted(address, trusted):
            break
        address = hop
    return address[:64]


def is_encrypted(request: Request, trusted: Networks) -> bool:
    """Whether the browser speaks TLS, to us or to a trusted proxy. A browser's own word for its page counts too."""
    if request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://"):
        return True
    direct = request.client.host if request.client else ""
    return _is_trusted(direct, trusted) and request.headers.get("x-forwarded-proto", "").strip().lower() == "https"


def is_our_own(request: Request) -> bool:
    """Whether a form was sent from a page of this site. Browsers say so, and no page can make them lie."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""


def is_from_elsewhere(request: Request) -> bool:
    """Whether a link on another site, in a chat or a mail, led here: browsers leave a strict cookie out then."""
    return request.headers.get("sec-fetch-site") in ("cross-site", "same-site")


def _is_trusted(address: str, trusted: Networks) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in trusted)
