"""Uvicorn's HTTP protocol, with deadlines: a client that dawdles is let go.

Uvicorn waits for ever for a request's headers, and for a connection's first byte. A few thousand of such connections would
be all that it has.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: From the opening of a connection, or a request's first byte, to the end of its headers.
HEADERS_SECONDS: Final = 10.0
#: From the end of the headers to the end of the body: a megabyte at 35 kB a second.
BODY_SECONDS: Final = 30.0
#: For some of an answer that a client does not read: 64 KiB of it and what the system buffers.
STALLED_SECONDS: Final = 30.0
#: Request line and headers together; checked as they come, before anything is known of their sender.
MAX_HEAD_BYTES: Final = 65_536
_TOO_SLOW: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n"
    b'{"error":"too-slow"}'
)
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose headers, or body, do not come in time, or whose answer is not read.

    A request that comes in one piece, as nearly all do, never starts a clock. An answer may go on for ever.
    """

    _clock: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _in_headers = False
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        super().connection_made(transport)
        self._start_clock(HEADERS_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: see where they leave us."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
            return
        cycle = self.cycle
        if self._in_headers:
            self._start_clock(HEADERS_SECONDS)
        elif cycle is not None and cycle.more_body:
            self._start_clock(BODY_SECONDS)
        else:
            self._stop_clock()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_headers = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are here; its body has a clock of its own."""
        self._in_headers = False
        self._stop_clock()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_clock()
        self._read_again()
        super().connection_lost(exc)

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
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_started:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
