"""The stream of changes, as its readers see it."""

from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from shared.schema import Change
from shared.store import keys
from shared.store.calls import Call, Operation
from shared.store.listing import Listed

_Id = bytes


class Entry(NamedTuple):
    """One entry of the stream; `change` is None for one that was trimmed or deleted meanwhile."""

    id: _Id
    change: Change | None

    @property
    def milliseconds(self) -> int:
        """When it was written, by the server's clock."""
        return _parsed(self.id)[0]


class Position(NamedTuple):
    """Where a consumer group stands. Ids are (milliseconds, sequence)."""

    last_delivered: tuple[int, int]
    first_in_stream: tuple[int, int] | None
    last_in_stream: tuple[int, int]

    @property
    def may_have_missed(self) -> bool:
        """Whether entries may have been trimmed before they were delivered. Errs on the side of yes."""
        if self.last_delivered >= self.last_in_stream:
            return False
        return self.first_in_stream is None or self.first_in_stream > self.last_delivered


def create_group(group: str) -> Operation[bool]:
    """Create a consumer group that begins now; False if it is there already."""
    try:
        yield [Call("XGROUP CREATE", (keys.CHANGES,), (group, "$", "MKSTREAM"))]
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
        return False
    return True


def position(group: str) -> Operation[Position | None]:
    """Where a group stands; None if there is no such group."""
    groups, stream = yield [Call("XINFO GROUPS", (keys.CHANGES,)), Call("XINFO STREAM", (keys.CHANGES,))]
    for each in groups:
        if _text(each["name"]) == group:
            first = stream["first-entry"]
            return Position(
                _parsed(each["last-delivered-id"]),
                _parsed(first[0]) if first else None,
                _parsed(stream["last-generated-id"]),
            )
    return None


def read_group(group: str, consumer: str, after: str, count: int, block_ms: int | None) -> Operation[list[Entry]]:
    """Entries for a consumer: new ones (`after` `>`), or those it was given and has not acknowledged (from an id on)."""
    block = () if block_ms is None else ("BLOCK", block_ms)
    words = ("GROUP", group, consumer, "COUNT", count, *block, "STREAMS", keys.CHANGES, after)
    (answer,) = yield [Call("XREADGROUP", (), words)]
    return _entries(answer)


def take_over(group: str, consumer: str, idle_ms: int, count: int) -> Operation[list[Entry]]:
    """Entries that other consumers were given and have not acknowledged for long: their readers died."""
    (answer,) = yield [Call("XAUTOCLAIM", (keys.CHANGES,), (group, consumer, idle_ms, "0-0", "COUNT", count))]
    found = [Entry(entry_id, _change(fields)) for entry_id, fields in answer[1]]
    return [Entry(entry_id, None) for entry_id in answer[2]] + found


def acknowledge(group: str, ids: list[_Id]) -> Operation[None]:
    """Say that entries were dealt with."""
    if ids:
        yield [Call("XACK", (keys.CHANGES,), (group, *ids))]


def last_id() -> Operation[bytes]:
    """The id of the newest entry; `0-0` for an empty stream."""
    (newest,) = yield [Call("XREVRANGE", (keys.CHANGES,), ("+", "-", "COUNT", 1))]
    return newest[0][0] if newest else b"0-0"


def read(after: bytes, count: int, block_ms: int | None) -> Operation[list[Entry]]:
    """Entries after an id without a group; `block_ms` None: those that are there."""
    block = () if block_ms is None else ("BLOCK", block_ms)
    (answer,) = yield [Call("XREAD", (), ("COUNT", count, *block, "STREAMS", keys.CHANGES, after))]
    return _entries(answer)


def after(entry_id: bytes, count: int) -> Operation[list[Entry]]:
    """Entries after an id that are there now."""
    (page,) = yield [Call("XRANGE", (keys.CHANGES,), (b"(" + entry_id, "+", "COUNT", count))]
    return [Entry(each, _change(fields)) for each, fields in page]


def is_trimmed(entry_id: bytes) -> Operation[bool]:
    """Whether entries after an id may have been trimmed. Errs on the side of yes."""
    (oldest,) = yield [Call("XRANGE", (keys.CHANGES,), ("-", "+", "COUNT", 1))]
    return not oldest or later(oldest[0][0], entry_id)


def later(one: bytes, other: bytes) -> bool:
    """Whether an id comes after another."""
    return _parsed(one) > _parsed(other)


def changed_since(tenant: str, since_ms: int, count: int) -> Operation[list[Listed]]:
    """A tenant's orders that changed at or after a time, longest ago first."""
    (answer,) = yield [
        Call("ZRANGEBYSCORE", (keys.index(tenant),), (since_ms, "+inf", "WITHSCORES", "LIMIT", 0, count)),
    ]
    pairs = zip(answer[0::2], answer[1::2], strict=True)
    return [Listed(keys.unescaped(name.decode()), int(float(score))) for name, score in pairs]


def _entries(answer: Any) -> list[Entry]:
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer]
    return [Entry(entry_id, _change(fields)) for entries in streams for entry_id, fields in entries]


def _change(fields: dict[bytes, bytes] | None) -> Change | None:
    if not fields:
        return None
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return Change(
        tenant=text["tenant"],
        orderReferenceId=text["orderReferenceId"],
        version=int(text["version"]),
        status=text["status"],
        previousStatus=text["previousStatus"] or None,
        terminal=text["terminal"] == "true",
        at=text["at"],
    )


def _parsed(entry_id: bytes | str) -> tuple[int, int]:
    milliseconds, _, sequence = _text(entry_id).partition("-")
    return int(milliseconds), int(sequence)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
