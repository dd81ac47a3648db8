"""Texts that must not be shown by accident: secrets, and URLs that may hold one."""

import re
from typing import Final

MASK: Final = "********"
URL_SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
_HARMLESS_QUERY: Final = re.compile(r"db=\d+")


class Secret:
    """A text that shows itself only when asked by `reveal()`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class SecretUrl(Secret):
    """A URL that may hold a password; shows itself without it."""

    __slots__ = ()

    def __repr__(self) -> str:
        scheme, separator, rest = self.reveal().partition("://")
        if not separator or scheme not in URL_SCHEMES:
            return MASK  # perhaps a secret that was set under the wrong name
        credentials, at, place = rest.rpartition("@")
        if not at and scheme != "unix" and ("?" in rest or "#" in rest):
            return f"{scheme}://{MASK}"
        place, mark, query = place.partition("?")
        if mark and not _HARMLESS_QUERY.fullmatch(query):
            query = MASK
        user = (
            credentials.partition(":")[0] if credentials.count(":") == 1 and not set(credentials) & set("/?#@") else ""
        )
        return f"{scheme}://{f'{user}:{MASK}@' if at else ''}{place}{mark}{query}"

    __str__ = __repr__
