"""How the text of each kind of setting is read. Each raises `ValueError`, whose text says what it must be."""

import ipaddress
from collections.abc import Callable

from shared import patience
from shared.secret import URL_SCHEMES, Secret, SecretUrl

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number <= 0:
        raise ValueError("must be above 0")
    return number


def seconds(text: str) -> float:
    """Seconds, or another measure, above 0."""
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError("must be above 0")
    return number


def yes_or_no(text: str) -> bool:
    """Yes or no."""
    value = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower())
    if value is None:
        raise ValueError("must be yes or no")
    return value


def minutes(text: str) -> float:
    """Minutes; 0 is allowed."""
    number = float(text)
    if not 0 <= number < 1e6:
        raise ValueError("must be 0 or above")
    return number


def silences(text: str) -> str:
    """How long orders may be silent, as `shared.patience` reads it."""
    patience.read(text)
    return text


def count(text: str) -> int:
    """A small number."""
    number = int(text)
    if not 0 <= number <= 100:
        raise ValueError("must be a number from 0 to 100")
    return number


def url(text: str) -> SecretUrl:
    """A server's URL."""
    if text.partition("://")[0] not in URL_SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(f'{scheme}://' for scheme in URL_SCHEMES)}")
    return SecretUrl(text)


def lease(text: str) -> float:
    """Seconds of a lease."""
    number = float(text)
    if not 0.5 <= number <= 3600:
        raise ValueError("must be from 0.5 to 3600")
    return number


def port(text: str) -> int:
    """A port."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError("must be a port, 0 to 65535")
    return number


def networks(text: str) -> Networks:
    """Addresses or networks, comma-separated."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def secrets(text: str) -> tuple[Secret, ...]:
    """Secrets, comma-separated."""
    return tuple(Secret(part.strip()) for part in text.split(",") if part.strip())


def secret(text: str) -> Secret | None:
    """One secret."""
    return Secret(text.strip()) if text.strip() else None


def choice(*allowed: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text.lower()

    return parse
