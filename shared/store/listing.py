"""Orders by time, page by page: what every sorted set of orders is read with."""

from typing import NamedTuple

from shared.store import keys
from shared.store.calls import Call, Operation


class Listed(NamedTuple):
    """One order of an index: its reference and its time there (milliseconds), nearly always that of its last change."""

    reference: str
    changed_ms: int


def newest(key: str, after: Listed | None, limit: int) -> Operation[list[Listed]]:
    """The orders of a sorted set, newest first, from the one after `after` on; fewer than `limit`: the last.

    A worker stamps a whole batch with one time; orders of one time come by their escaped references, backwards.
    """
    return _page(key, after, limit, "ZREVRANGEBYSCORE", "+inf", "-inf")


def oldest(key: str, before_ms: int, after: Listed | None, limit: int) -> Operation[list[Listed]]:
    """Those of before a time, oldest first, from the one after `after` on; fewer than `limit`: the last."""
    return _page(key, after, limit, "ZRANGEBYSCORE", "-inf", f"({before_ms}")


def _page(key: str, after: Listed | None, limit: int, command: str, first: str, last: str) -> Operation[list[Listed]]:
    begin = first if after is None else after.changed_ms
    name_before = b"" if after is None else keys.escaped(after.reference).encode()
    backwards = command == "ZREVRANGEBYSCORE"
    found: list[Listed] = []
    offset = 0
    while len(found) < limit:
        (answer,) = yield [Call(command, (key,), (begin, last, "WITHSCORES", "LIMIT", offset, limit))]
        for name, score in zip(answer[0::2], answer[1::2], strict=True):
            time_ms = int(float(score))
            known = name == name_before or (name > name_before) == backwards
            if after is not None and time_ms == after.changed_ms and known:
                continue  # at or before the one to go on from
            found.append(Listed(keys.unescaped(name.decode()), time_ms))
        offset += limit
        if len(answer) < 2 * limit:
            break
    return found[:limit]
