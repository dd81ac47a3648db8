"""HTTP as it is written: requests that no usual client sends, byte for byte, and all that comes back."""

import socket

import httpx

from support.processes import OPS_TOKEN, SECRET, Receiver


def raw_get(receiver: Receiver, target: str, token: str = OPS_TOKEN) -> httpx.Response:
    """GET with the target exactly as given: clients resolve dots and escape what they please."""
    url = httpx.URL(receiver.base).copy_with(raw_path=target.encode())
    return receiver.client.get(url, headers={"Authorization": f"Bearer {token}"})


def head(*more: str, secret: str = SECRET, path: str = "/webhooks/gelato") -> bytes:
    """The head of a webhook, with these lines too."""
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"X-Webhook-Secret: {secret}", *more, "", "")
    return "\r\n".join(lines).encode()


def connect(receiver: Receiver, seconds: float = 5.0) -> socket.socket:
    """A connection on which nothing was sent yet."""
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=seconds)


def all_of(connection: socket.socket) -> bytes:
    """Everything until the other side closes, or resets after it has answered."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except (ConnectionError, TimeoutError):
        pass
    return b"".join(parts)


def exchange(receiver: Receiver, request: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes, and read until the other side closes."""
    with connect(receiver, seconds) as connection:
        connection.sendall(request)
        return all_of(connection)


def first_answer(receiver: Receiver, request: bytes, *, seconds: float = 5.0) -> bytes:
    """Send bytes and read until the first answer's end or the close."""
    with connect(receiver, seconds) as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received or b"}" not in received:
            part = connection.recv(65536)
            if not part:
                break
            received += part
        return received
