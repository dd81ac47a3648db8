"""The little HTTP that all routes share: reading a bounded body, answering in JSON."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: What is read and thrown away after a body was refused.
_DISCARD_BYTES = 8 * 1024 * 1024
_DISCARD_SECONDS = 2.0

Raw = tuple[bytes, bytes]


class TooLarge(Exception):
    """A body is over the limit; the rest of it is not read."""


class CutOff(Exception):
    """The client went away in the middle of its body, or was let go because it took too long over it."""


class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(orjson.dumps(content), status, headers)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read a request's body.

    Raises `TooLarge` as soon as it is over `limit` bytes, `CutOff` if the client goes away.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > 18 or int(value) > limit):
            raise TooLarge
    message = await receive()
    if message["type"] == "http.disconnect":
        raise CutOff
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest_of_body(body, receive, limit)
    if len(body) > limit:
        raise TooLarge
    return body


async def _rest_of_body(body: bytes, receive: Receive, limit: int) -> bytes:
    parts = [body]
    size = len(body)
    more = True
    while more:
        if size > limit:
            raise TooLarge
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CutOff
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


async def refuse_body(receive: Receive, send: Send, limit: int) -> None:
    """Answer 413, and read on a little: closing a connection on unread bytes resets it, and the answer is lost."""
    body = b'{"error":"too-large","limit":%d}' % limit
    start = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": start})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            left = _DISCARD_BYTES
            more = True
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})


async def answer(send: Send, status: int, body: bytes, headers: list[Raw] | None = None) -> None:
    """Send a JSON answer: the shortest way, for the webhooks' hot path."""
    start = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
