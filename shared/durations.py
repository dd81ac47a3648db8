"""Lengths of time as people write them: `90s`, `30m`, `6h`, `2d`."""

import re
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_FORM: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhd])")


def seconds_of(text: str) -> float:
    """The seconds of a length of time. Raises `ValueError`, which says the form."""
    match = _FORM.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError("must be a length of time such as 90s, 30m, 6h, 2d")
    return float(match[1]) * _UNITS[match[2]]


def shown(seconds: float) -> str:
    """A length of time for people, in the largest unit that fits: `6h`, `1.5d`."""
    unit = next((name for name in "dhm" if seconds >= _UNITS[name]), "s")
    return f"{seconds / _UNITS[unit]:.4g}{unit}"
