"""The short way of a webhook: from the HTTP parser to the group commit, and from there back to the socket.

ASGI costs a request a task, an event, and four messages: more than all that is done for it. Nearly every webhook needs none
of that: it is small, whole, right, and Redis is there. Such a one is taken here; whatever else it turns out to be, the
request goes the usual way from its beginning (`receiver.webhooks`), as if nobody had looked.
"""

import time
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from receiver.protocol import PatientProtocol
from receiver.service import now_us
from receiver.webhooks import Webhooks
from shared import log

logger = log.get("receiver.direct")

_NOT_DIRECT: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect"})
_STATUS: Final = {
    200: b"HTTP/1.1 200 OK\r\n",
    202: b"HTTP/1.1 202 Accepted\r\n",
    500: b"HTTP/1.1 500 Internal Server Error\r\n",
    503: b"HTTP/1.1 503 Service Unavailable\r\n",
}
#: The length of a body, and the end of an answer's headers.
_LENGTHS: Final = tuple(b"%d\r\n\r\n" % length for length in range(600))


class _Turn:
    """What uvicorn's protocol asks of the request that is being answered: stands where an ASGI cycle would."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "more_body", "response_complete", "response_started")

    def __init__(self) -> None:
        self.message_event = self
        self.response_started = False
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True
        self.more_body = False

    def set(self) -> None:
        """Nobody waits for its messages."""


class DirectProtocol(PatientProtocol):
    """Uvicorn's protocol, with the short way for webhooks."""

    _webhooks: Webhooks | None = None
    _tenant: str | None = None
    _body = b""
    _received = 0
    _start = 0.0

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        super().connection_made(transport)
        self._webhooks = getattr(self.app, "webhooks", None)
        self._turn = _Turn()

    def on_message_begin(self) -> None:
        """A request begins; its scope is made when it is known to need one."""
        self._in_headers = self._in_request = True
        self._head_bytes = 0
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header is here, or a trailer: those are nobody's."""
        if self._in_headers:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide the way of a request."""
        self._in_headers = False
        self._stop_clock()
        self._start = time.perf_counter()
        self._received = now_us()
        self._tenant = self._direct_for()
        if self._tenant is None:
            self._go_the_usual_way()
            return
        self._body = b""
        turn = self.cycle = self._turn  # type: ignore[assignment]
        turn.response_complete = turn.response_started = turn.disconnected = False
        turn.more_body = turn.keep_alive = True

    def on_body(self, body: bytes) -> None:
        """A part of the body is here, nearly always all of it."""
        if self._tenant is None:
            super().on_body(body)
        else:
            self._head_bytes = 0
            self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """The request is here."""
        tenant = self._tenant
        if tenant is None:
            super().on_message_complete()
            return
        self._tenant = None
        self._in_request = False
        self._stop_clock()
        turn = self._turn
        turn.more_body = False
        turn.keep_alive = turn.keep_alive and self.parser.should_keep_alive()
        webhooks = self._webhooks
        if webhooks is None or not webhooks.take(tenant, self._body, self._received, self._start, self._answer):
            body, self._body = self._body, b""
            self.cycle = None  # type: ignore[assignment]
            self._go_the_usual_way()
            super().on_body(body)
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, perhaps in the middle of a body."""
        if self._tenant is not None and self._webhooks is not None:
            self._webhooks.cut_off(self._tenant, self._start)
            self._tenant = None
        super().connection_lost(exc)

    def _direct_for(self) -> str | None:
        """The tenant whose webhook this request brings; None where it goes the usual way."""
        webhooks = self._webhooks
        if webhooks is None or (tenant := webhooks.tenant_at(self.url)) is None:
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None  # sent before the previous one was answered: uvicorn keeps their order
        if self.flow.write_paused or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return None
        length = b""
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name in _NOT_DIRECT:
                return None
        if not length.isdigit() or len(length) > 6 or int(length) > webhooks.direct_bytes:
            return None
        return tenant if webhooks.may_post(tenant, self.headers) else None

    def _go_the_usual_way(self) -> None:
        url, headers = self.url, self.headers
        HttpToolsProtocol.on_message_begin(self)
        for name, value in headers:
            HttpToolsProtocol.on_header(self, name, value)
        self.url = url
        PatientProtocol.on_headers_complete(self)

    def _answer(self, status: int, body: bytes, headers: bytes = b"") -> None:
        """Answer the request that was taken. `headers` are whole lines."""
        turn, transport = self._turn, self.transport
        turn.response_started = turn.response_complete = True
        if transport.is_closing():
            self.on_response_complete()
            return
        if turn.keep_alive and not headers and len(body) < len(_LENGTHS):  # nearly all
            transport.write(b"".join((self._head(status), _LENGTHS[len(body)], body)))
        else:
            close = b"" if turn.keep_alive else b"connection: close\r\n"
            transport.write(b"%b%d\r\n%b%b\r\n%b" % (self._head(status), len(body), headers, close, body))
            if not turn.keep_alive:
                transport.close()
        if self.pipeline or self.flow.read_paused or not turn.keep_alive:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._wait_for_another()

    def _head(self, status: int) -> bytes:
        """What every answer begins with. Uvicorn changes its headers (the date) once a second; then they are made anew."""
        headers = self.server_state.default_headers
        if _heads.of is not headers:
            _heads.of = headers
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            _heads.by_status = {
                each: b"%b%bcontent-type: application/json\r\ncontent-length: " % (line, lines)
                for each, line in _STATUS.items()
            }
        return _heads.by_status[status]


class _Heads:
    """Of this process: they are the same for all connections."""

    of: object = None
    by_status: dict[int, bytes] = {}


_heads: Final = _Heads()
