"""What a request may bring beside its headers and body: trailers, extensions of chunks, a wish for another protocol."""

import orjson
import pytest
from support.events import order_status
from support.processes import SECRET, Receiver
from support.raw_http import connect, exchange, head
from support.server import Server
from support.webhooks import MIB, stored_keys

CHUNKED = "Transfer-Encoding: chunked"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def chunked(body: bytes, *, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n0\r\n%b\r\n" % (len(body), extension, body, trailers)


class TestTrailers:
    @pytest.mark.parametrize("secret", ["", "wrong"])
    def test_a_secret_among_them_opens_nothing(self, receiver: Receiver, server: Server, secret: str) -> None:
        body = chunked(orjson.dumps(order_status()), trailers=f"X-Webhook-Secret: {SECRET}\r\n".encode())
        request = head(CHUNKED, secret=secret).replace(b"X-Webhook-Secret: \r\n", b"")
        assert b" 401 " in exchange(receiver, request + body + HEALTH)
        assert stored_keys(server) == []

    def test_they_and_extensions_do_not_disturb_what_is_right(self, receiver: Receiver) -> None:
        trailers = b"X-Webhook-Secret: another\r\nX-Checksum: 1\r\n"
        body = chunked(orjson.dumps(order_status()), extension=b";name=value", trailers=trailers)
        answer = exchange(receiver, head(CHUNKED) + body + HEALTH)
        assert answer.count(b" 200 OK") == 2
        assert b'"accepted"' in answer

    @pytest.mark.parametrize("secret", [SECRET, "wrong"])
    @pytest.mark.parametrize(
        ("begin", "piece"),
        [
            (b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 10_000),
            (b"2\r\n{}\r\n0\r\nX: ", b"a" * 60_000),
            (b"2\r\n{}\r\n0\r\n", b"a" * 60_000),
            (b"2;", b"a" * 60_000),
        ],
        ids=["many trailers", "a long trailer", "a trailer's long name", "a long extension"],
    )
    def test_without_end_they_are_cut_off(self, receiver: Receiver, begin: bytes, piece: bytes, secret: str) -> None:
        sent = 0
        with connect(receiver, 3.0) as connection:
            try:
                connection.sendall(head(CHUNKED, secret=secret) + begin)
                while sent < 32 * MIB:
                    connection.sendall(piece)
                    sent += len(piece)
            except (ConnectionError, TimeoutError):
                pass
        assert sent < 8 * MIB

    def test_a_body_in_chunks_of_a_byte_is_as_good_as_any(self, receiver: Receiver) -> None:
        body = orjson.dumps(order_status(padding="x" * 20_000))
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        assert b'"accepted"' in exchange(receiver, head(CHUNKED, "Connection: close") + chunks)


class TestAnotherProtocol:
    def test_a_webhook_that_would_rather_speak_it_is_taken(self, receiver: Receiver) -> None:
        """As clients do that try HTTP/2 first, Java's among them."""
        plain, pieces = orjson.dumps(order_status(id=1)), orjson.dumps(order_status(id=2))
        first = head(*H2C, f"Content-Length: {len(plain)}") + plain
        second = head(*H2C, CHUNKED) + chunked(pieces)
        answer = exchange(receiver, first + second + HEALTH)
        assert answer.count(b" 200 OK") == 3
        assert answer.count(b'"accepted"') == 2

    @pytest.mark.parametrize("secret", [SECRET, "wrong"])
    @pytest.mark.parametrize("upgrade", [H2C, ("Connection: upgrade", "Upgrade: websocket")])
    def test_a_body_that_comes_later_is_not_a_request(
        self, receiver: Receiver, server: Server, upgrade: tuple[str, ...], secret: str
    ) -> None:
        body = HEALTH.replace(b"Host: x", b"Host: smuggled")
        with connect(receiver) as connection:
            connection.sendall(head(*upgrade, f"Content-Length: {len(body)}", secret=secret))
            connection.settimeout(0.2)
            try:
                received = connection.recv(65536)
            except TimeoutError:
                received = b""
            connection.settimeout(5)
            connection.sendall(body + b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while part := connection.recv(65536):
                received += part
        assert b"alive" not in received
        assert received.count(b"HTTP/1.1 ") == 2
        assert received.count(b" 404 ") == 1

    def test_a_question_without_a_body_leaves_the_connection_in_order(self, receiver: Receiver) -> None:
        question = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + "\r\n".join(H2C).encode() + b"\r\n\r\n"
        assert exchange(receiver, question * 1_000 + HEALTH).count(b"alive") == 1_001

    @pytest.mark.parametrize("target", [b"x:443", b"/webhooks/gelato", b"http://x/"])
    def test_this_is_no_proxy(self, receiver: Receiver, target: bytes) -> None:
        answer = exchange(receiver, b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        assert answer.startswith(b"HTTP/1.1 400 ")


class TestRefusalsOfTheProtocol:
    @pytest.mark.parametrize(
        ("request_", "status", "error"),
        [
            (b"hello\r\n\r\n", 400, "invalid-http"),
            (head(CHUNKED, "Content-Length: 5") + b"0\r\n\r\n", 400, "invalid-http"),
            (b"GET /" + b"a" * 200_000, 431, "headers-too-large"),
        ],
        ids=["not HTTP", "two lengths", "a long path"],
    )
    def test_they_are_json(self, receiver: Receiver, request_: bytes, status: int, error: str) -> None:
        with connect(receiver) as connection:
            connection.sendall(request_)
            said, _, body = connection.recv(65536).partition(b"\r\n\r\n")
        assert int(said.split()[1]) == status
        assert b"content-type: application/json" in said
        assert orjson.loads(body) == {"error": error}
