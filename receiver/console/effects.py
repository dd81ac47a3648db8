"""What an event changed, in few words: of which item, from what, to what."""

from typing import Any, NamedTuple

import orjson

from receiver.console.texts import spoken
from shared.effects import Effect

_ID = 8


class Told(NamedTuple):
    """One effect. `what` is empty where it is a status; `before` is empty for what is new, `after` for what is gone."""

    place: str
    what: str
    before: str
    after: str


def told(effect: Effect) -> Told:
    """An effect as the page shows it."""
    *names, what = effect["path"]
    before, after = _value(effect["from"]), _value(effect["to"])
    kind = names[0] if names else ""
    if kind == "packages":
        return Told(
            _connected(names[1]),
            f"parcel {what}",
            "",
            "gone" if effect["to"] is None else "new" if not before else "changed",
        )
    if kind == "attention":
        return Told(what or _connected(names[-1]), "attention", before, after)
    if kind == "orders" and len(names) > 3:
        place = names[3]
    else:
        place = _connected(names[1]) if kind == "orders" else "order"
        what = ".".join([*names, what]) if kind not in ("", "orders") else what
    return Told(place, "" if what == "status" else _words(what), before, after)


def _connected(order_id: str) -> str:
    return f"connected order {order_id[:_ID]}"


def _words(name: str) -> str:
    """`reportedStatus` as words."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(str(part) for part in value.values() if part is not None)
    return spoken(value) if isinstance(value, str) else orjson.dumps(value).decode()
