"""Uvicorn's HTTP protocol, with deadlines and bounds where it has none, and without ways past what a proxy has looked at.

Uvicorn waits for ever for a request's headers, and for a connection's first byte: a few thousand of such connections would
be all that it has. What httptools reads of a request beside its headers and body (trailers, a chunk's extension) is as long
as the sender likes: 100 MB of it took 2 GB of memory, or half a minute of the loop. Trailers come out among the headers, and
the body of a request that asks for another protocol is left out and what comes of it later read as a request of its own.
"""

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: From the opening of a connection, or a request's first byte, to the end of its headers.
HEADERS_SECONDS: Final = 10.0
#: From the end of the headers to the end of the body: a megabyte at 35 kB a second.
BODY_SECONDS: Final = 30.0
#: For some of an answer that a client does not read: 64 KiB of it and what the system buffers.
STALLED_SECONDS: Final = 30.0
#: Request line and headers together, or what stands between two pieces of a body, or behind it; checked as it comes, before
#: anything is known of its sender.
MAX_HEAD_BYTES: Final = 65_536


def _refusal(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


_NOT_HTTP: Final = _refusal(b"400 Bad Request", b'{"error":"invalid-http"}')
_TOO_SLOW: Final = _refusal(b"408 Request Timeout", b'{"error":"too-slow"}')
_TOO_LARGE: Final = _refusal(b"431 Request Header Fields Too Large", b'{"error":"headers-too-large"}')


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose headers, or body, do not come in time, or whose answer is not read.

    A request that comes in one piece, as nearly all do, never starts a clock. An answer may go on for ever.
    """

    _clock: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _in_headers = False
    #: From the first byte of a request to its last.
    _in_request = False
    #: Bytes since the request began, or since the last piece of its body.
    _head_bytes = 0
    #: The request asks for another protocol: it is read again as if it did not.
    _to_read_again = False
    #: Since when the next request is waited for (the loop's clock); None while there is one.
    _idle_since: float | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        super().connection_made(transport)
        self._start_clock(HEADERS_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: see where they leave us."""
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self._read(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(_NOT_HTTP)
            return
        if not self._in_request:
            cycle = self.cycle
            if cycle is not None and not cycle.response_complete:
                self._stop_clock()
            else:  # line breaks, which may stand before a request
                self._start_clock(HEADERS_SECONDS)
        elif self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        else:
            self._start_clock(HEADERS_SECONDS if self._in_headers else BODY_SECONDS)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_headers = self._in_request = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header is here, or a trailer: those are nobody's."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its headers are here; its body has a clock of its own."""
        self._in_headers = False
        self._stop_clock()
        self._to_read_again = self.parser.should_upgrade()
        if not self._to_read_again:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body is here."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._in_request = False
        self._stop_clock()
        if not self._to_read_again:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is out."""
        clock, self.timeout_keep_alive_task = self.timeout_keep_alive_task, None
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self._idle_since = self.loop.time()
        if clock is not None:
            clock.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """See whether the next request has been waited for too long."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_clock()
        self._read_again()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def shutdown(self) -> None:
        """The server is asked to stop: the application ends what would go on for ever."""
        stopping = getattr(self.app, "stopping", None)
        if stopping is not None:
            stopping()
        super().shutdown()

    def pause_writing(self) -> None:
        """The client does not read its answer as fast as it comes. Closing would wait for it to read: it is cut off."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._read_again()

    def _read(self, data: bytes) -> None:
        """Read bytes. A request for another protocol, of which there is none here, is an ordinary one (RFC 9110, 7.8)."""
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as stopped:
                rest = memoryview(rest)[stopped.args[0] :]
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.feed_data(head)
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _wait_for_another(self) -> None:
        """Begin to wait for the next request. One timer serves many: one each would be made and cancelled for nothing."""
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _unset_keepalive_if_required(self) -> None:
        """Uvicorn's word for: a request has come. The timer finds out by itself."""
        self._idle_since = None

    def _refuse(self, answer: bytes) -> None:
        """Close the connection with an answer. Requests that came whole before get theirs first, and this one none."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        self.transport.write(answer)
        self.transport.close()

    def _read_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _start_clock(self, seconds: float) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(seconds, self._too_late)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_late(self) -> None:
        self._clock = None
        answered = self.cycle is None or self.cycle.response_started
        self._refuse(b"" if answered else _TOO_SLOW)
