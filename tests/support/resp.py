"""RESP 2 on its way: where commands and answers begin and end, and what commands are called."""

from hashlib import sha1


def commands(held: bytearray) -> tuple[list[tuple[str, bytes]], int]:
    """The whole commands at the front, each with its name (a script's: its hash), and how many bytes they are."""
    found, at = [], 0
    while (stop := end(held, at)) > 0:
        raw = bytes(held[at:stop])
        found.append((_named(raw), raw))
        at = stop
    return found, at


def _named(raw: bytes) -> str:
    first = _word(raw, raw.find(b"\r\n") + 2)
    name = first[0].decode(errors="replace").upper()
    if name == "EVALSHA":
        return _word(raw, first[1])[0].decode(errors="replace")
    if name == "EVAL":
        return sha1(_word(raw, first[1])[0], usedforsecurity=False).hexdigest()
    return name


def _word(raw: bytes, at: int) -> tuple[bytes, int]:
    """The bulk string at a place, and where the next begins."""
    line = raw.find(b"\r\n", at)
    length = int(raw[at + 1 : line])
    return raw[line + 2 : line + 2 + length], line + 4 + length


def end(held: bytearray, at: int) -> int:
    """Where the command or answer that begins at a place ends; 0 where it is not all there."""
    todo = 1
    while todo:
        line = held.find(b"\r\n", at)
        if line < 0:
            return 0
        kind = held[at : at + 1]
        if kind == b"$":
            length = int(held[at + 1 : line])
            line += length + 2 if length >= 0 else 0
        elif kind == b"*":
            todo += max(0, int(held[at + 1 : line]))
        at = line + 2
        if at > len(held):
            return 0
        todo -= 1
    return at
