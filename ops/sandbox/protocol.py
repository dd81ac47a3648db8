"""Uvicorn's HTTP protocol, with connections that the sandbox can reset on purpose."""

import socket
import struct
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_connections: Final[dict[tuple[str, int], Any]] = {}


class ResettableProtocol(HttpToolsProtocol):
    """Remembers each connection by its client's address, which is all that an ASGI application is told."""

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        super().connection_made(transport)
        _connections[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        _connections.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


def reset(client: tuple[str, int] | None) -> None:
    """Reset a client's connection: it sees neither an answer nor an orderly end."""
    transport = _connections.get(client) if client else None
    if transport is None:
        return
    connected = transport.get_extra_info("socket")
    if connected is not None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
