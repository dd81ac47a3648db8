"""All that Redis holds, opened: what was packed, compressed or encoded is searched as what it says."""

import zlib
from typing import Any

from shared.store import records, stored
from support.server import Server


def everything(server: Server, pattern: str = "*") -> dict[str, bytes]:
    """Every key, with all that it holds as one text."""
    client: Any = server.client
    return {key.decode(): b"\n".join(_texts(client, key)) for key in client.scan_iter(pattern, count=1_000)}


def all_texts(server: Server, pattern: str = "*") -> bytes:
    """All keys and all that they hold, as one text."""
    return b"\n".join(text for key, held in everything(server, pattern).items() for text in (key.encode(), held))


def traces(server: Server, *texts: str) -> list[str]:
    """Every key that names one of some texts, or holds it."""
    sought = [text.encode() for text in texts]
    found = everything(server).items()
    return sorted(key for key, held in found if any(text in key.encode() or text in held for text in sought))


def _texts(client: Any, key: bytes) -> list[bytes]:
    kind = client.type(key).decode()
    values: list[bytes] = []
    if kind == "string":
        values = [client.get(key)]
    elif kind == "list":
        values = client.lrange(key, 0, -1)
    elif kind == "hash":
        values = [text for pair in client.hgetall(key).items() for text in pair]
    elif kind == "zset":
        values = client.zrange(key, 0, -1)
    elif kind == "set":
        values = list(client.smembers(key))
    elif kind == "stream":
        values = [text for _, fields in client.xrange(key) for pair in fields.items() for text in pair]
    elif kind != "none":  # it expired meanwhile
        raise AssertionError(f"{key!r} has the unknown type {kind}")
    return [text for value in values for text in (value, *_opened(key, value))]


def _opened(key: bytes, value: bytes) -> list[bytes]:
    if key.startswith(b"gelato:log:"):
        return [record.text for record in records.read([value])]
    if key.startswith(b"gelato:state:"):
        assert stored.decode(value) is not None
        return [value if value[1:2] == b"m" else zlib.decompress(value[2:])]
    try:  # RQ compresses its jobs
        return [zlib.decompress(value)]
    except zlib.error:
        return []
