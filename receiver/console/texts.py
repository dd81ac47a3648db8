"""How the console says things: texts from outside made safe to look at, times, numbers, and links that may be followed.

Escaping is the templates' part; here a text is made *visible*: a control character, a line break or a mark that turns
the direction of what follows is shown as a symbol, so that no text can hide, or draw on the page around it.
"""

import time
import unicodedata
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

from markupsafe import Markup, escape

from shared.clock import parse_time

_DELETE: Final = 0x7F
_CONTROL_PICTURES: Final = 0x2400
_DELETE_PICTURE: Final = "\u2421"
_INVISIBLE: Final = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
#: These join what belongs together, in emoji and in scripts that need them.
_JOINERS: Final = ("\u200c", "\u200d")
_NONE: Final = Markup('<span class="none">\u2013</span>')
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def visible(text: object) -> str:
    """A text with nothing hidden in it."""
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(map(_visible, plain))


def short(text: object, most: int) -> str:
    """A visible text of at most so many characters, cut in its middle."""
    plain = visible(text)
    if len(plain) <= most:
        return plain
    head = (most - 1) * 2 // 3
    return f"{plain[:head]}…{plain[len(plain) - (most - 1 - head) :]}"


def link(path: str, **query: object) -> str:
    """A path with a query, percent-encoded; a value of None is left out."""
    fields = [f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value not in (None, "")]
    return f"{path}?{'&'.join(fields)}" if fields else path


def outside(url: object) -> str | None:
    """A URL from outside, if it may become a link: `http` and `https` alone, to a host."""
    if not isinstance(url, str) or len(url) > 2048 or visible(url) != url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme.lower() in ("http", "https") and parts.hostname and "@" not in parts.netloc else None


def moment(when: object) -> Markup:
    """A time: how long ago, with the exact time beside it for machines, and on hovering."""
    seconds = _seconds(when)
    if seconds is None:
        return _NONE
    exact = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}" title="{} UTC" data-ago>{}</time>').format(
        exact.strftime("%Y-%m-%dT%H:%M:%SZ"), exact.strftime("%Y-%m-%d %H:%M:%S"), ago(time.time() - seconds)
    )


def exactly(when: object) -> Markup:
    """A time in full, UTC."""
    seconds = _seconds(when)
    if seconds is None:
        return _NONE
    exact = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{} <span class="clock">{}</span></time>').format(
        exact.strftime("%Y-%m-%dT%H:%M:%SZ"), exact.strftime("%d %b %Y"), exact.strftime("%H:%M:%S")
    )


def iso(seconds: float) -> str:
    """A time for machines."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(seconds: float) -> str:
    """A time of day, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def ago(seconds: float) -> str:
    """How long ago, in one unit."""
    if seconds < -1:
        return f"in {_span(-seconds)}"
    return "just now" if seconds < 5 else f"{_span(seconds)} ago"


def span(seconds: float) -> str:
    """A length of time, in one unit."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    return _span(seconds) if seconds >= 10 else f"{seconds:.1f} s"


def count(number: float) -> str:
    """A whole number with thin blanks between its thousands."""
    return f"{number:,.0f}".replace(",", "\u202f")


def rate(number: float) -> str:
    """A number per second: as many digits as say something."""
    if number >= 100 or number == 0:
        return count(number)
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def size(number: float) -> str:
    """A number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 order`, `2 orders`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def spoken(status: object) -> str:
    """A status as words."""
    return visible(status).replace("_", " ")


def highlighted(value: str) -> Markup:
    """Pretty-printed JSON; what is invisible in it is shown."""
    return Markup("\n").join(escape(visible(line)) for line in value.split("\n"))


def marked(text: str) -> Markup:
    """One of our own texts, with what stands in backticks marked as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts)
    )


def value(setting: object) -> str:
    """A setting's value; a choice in words."""
    return {True: "yes", False: "no"}[setting] if isinstance(setting, bool) else visible(setting)


def told(value: object) -> str:
    """A value of the audit log: what it holds, side by side."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {told(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(told, value))
    return visible(value)


def _visible(character: str) -> str:
    number = ord(character)
    if number < 0x20:
        return chr(_CONTROL_PICTURES + number)
    if number == _DELETE:
        return _DELETE_PICTURE
    if unicodedata.category(character) in _INVISIBLE and character not in _JOINERS:
        return f"⟨U+{number:04X}⟩"
    return character


def _seconds(when: object) -> float | None:
    if isinstance(when, str):
        parsed = parse_time(when)
        when = None if parsed is None else parsed / 1_000_000
    if not isinstance(when, (int, float)) or not 0 <= when < 253_402_300_800:
        return None
    return float(when)


def _span(seconds: float) -> str:
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"
