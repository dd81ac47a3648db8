"""JSON in, and one canonical text per JSON value out, so that "the same content" can be decided by a hash.

Two bodies are the same content when they are JSON-equal, whatever their key order, white space or spelling of numbers
(`1`, `1.0` and `1e0` are one number). orjson reads and writes nearly everything; it reads integers beyond 64 bits as
floats, though, and merchants do send long numeric references, so bodies with unusual numbers are read again exactly.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from shared.errors import InvalidJson

#: orjson writes at most 254 levels; nothing real is deeper, and a bound here bounds every walk over the value.
MAX_DEPTH: Final = 254

#: Numbers of more digits are no ids (a reference has at most 255 characters), and need not become integers.
_LONGEST_INTEGER: Final = 255
#: Below this every number is spelled as orjson spells it; from here on all go the exact way (19 digits).
_SHORT_INTEGER: Final = 10**18

#: An integer that ends in more zeros is written with an exponent.
_MOST_ZEROS: Final = 20

# In orjson's sorted output a number follows `":`, `[` or `,`. Three searches with a literal prefix take a microsecond
# together on a usual body; one pattern with a character class takes five.
_NUMBER_AFTER = tuple(re.compile(prefix + rb"-?[0-9]") for prefix in (rb'":', rb"\[", rb","))
_UNUSUAL_NUMBER = re.compile(rb"-?[0-9]+[.eE]|[0-9]{19}")


def parse(body: bytes) -> tuple[Any, bytes]:
    """Read a body: `(value, canonical text)`.

    Integers of any length come out as `int`. Raises `InvalidJson` for what is not JSON, not UTF-8, nested deeper than
    `MAX_DEPTH`, or has a number beyond double precision's range.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(_without_content(error)) from None
    return _canonical(value, body)


def _canonical(value: Any, body: bytes) -> tuple[Any, bytes]:
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise InvalidJson(f"nested deeper than {MAX_DEPTH} levels") from None
    for pattern in _NUMBER_AFTER:
        if pattern.search(text) and _UNUSUAL_NUMBER.search(text):
            return _parse_exactly(body)
    if isinstance(value, float):
        return _parse_exactly(body)
    return value, text


def dumps(value: Any) -> bytes:
    """The canonical text of a value that holds no floats; integers of any length."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer beyond 64 bits
        return _written(value)


def _without_content(error: orjson.JSONDecodeError) -> str:
    return f"{error.msg} (line {error.lineno}, column {error.colno})"


def _parse_exactly(body: bytes) -> tuple[Any, bytes]:
    # int() refuses more than 4,300 digits, and orjson has refused anything above 1.8e308 before: no digit bomb here.
    value = json.loads(body, parse_float=_exactly)
    return value, _written(value)


def _exactly(text: str) -> int | Decimal:
    """A number with a fraction or an exponent: an integer if it is one (JSON knows no difference), else exact."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return 0  # its exponent has more than 18 digits, and orjson took it: nothing but zero is so small
    if number.adjusted() <= _LONGEST_INTEGER and number == number.to_integral_value():
        return int(number)
    return number


def _written(value: Any) -> bytes:
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode()


def _write(value: Any, parts: list[str]) -> None:
    """Append the canonical text; strings as orjson spells them, so that both ways give one text for one value."""
    if isinstance(value, dict):
        parts.append("{")
        for n, key in enumerate(sorted(value)):
            parts.append("," if n else "")
            parts.append(orjson.dumps(key).decode())
            parts.append(":")
            _write(value[key], parts)
        parts.append("}")
    elif isinstance(value, list):
        parts.append("[")
        for n, element in enumerate(value):
            parts.append("," if n else "")
            _write(element, parts)
        parts.append("]")
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        parts.append(_number(value))
    else:
        parts.append(orjson.dumps(value).decode())


def _number(value: int | Decimal) -> str:
    """One spelling per number, never much longer than the shortest: `1e308` does not become 309 digits."""
    if isinstance(value, int) and abs(value) < _SHORT_INTEGER:
        return str(value)
    sign, digits, exponent = (Decimal(value) if isinstance(value, int) else value).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    shorter = text.rstrip("0")
    power = int(exponent) + len(text) - len(shorter)
    if 0 < power <= _MOST_ZEROS:  # as an integer of any reader's
        shorter, power = shorter + "0" * power, 0
    return f"{'-' if sign else ''}{shorter}{f'e{power}' if power else ''}" if shorter else "0"
