"""HTTP that is none, and heads without end: a clear answer or a clean close."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from support.events import order_status
from support.processes import SECRET, Receiver
from support.raw_http import connect, exchange, head
from support.server import Server
from support.webhooks import MIB, stored_keys

from ops.bench.proc import rss_bytes


class TestHttpThatIsNone:
    @pytest.mark.parametrize(
        "garbage",
        [
            b"\x00" * 1000,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200,
            b"hello\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"FROB /webhooks/gelato HTTP/1.1\r\nHost: x\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            head("Content-Length: abc"),
            head("Content-Length: -1"),
            head("Content-Length: 5", "Content-Length: 6") + b"hello",
            head("Content-Length: 99999999999999999999999999"),
            head("Transfer-Encoding: chunked") + b"zz\r\n",
            head("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
            head("Transfer-Encoding: chunked") + b"fffffffffffffffffff\r\n",
            head("Bad Header: x"),
            head("X-A: \x00"),
        ],
        ids=lambda garbage: repr(garbage[-30:]),
    )
    def test_it_is_refused_or_closed(self, receiver: Receiver, server: Server, garbage: bytes) -> None:
        answer = exchange(receiver, garbage, seconds=0.3)
        assert answer == b"" or answer.split()[1][:1] == b"4"
        assert stored_keys(server) == []

    def test_pipelined_requests_are_answered_in_order(self, receiver: Receiver) -> None:
        bodies = [orjson.dumps(order_status(id=f"p{n}")) for n in range(50)]
        requests = [head(f"Content-Length: {len(body)}") + body for body in bodies]
        answer = exchange(
            receiver, b"".join(requests) + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer.count(b" 200 OK") == 51
        places = [answer.index(b'orderStatus:p%d"' % n) for n in range(50)]
        assert places == sorted(places)

    @pytest.mark.parametrize(
        "rest",
        [b"FROB / HTTP/1.1\r\n\r\n", head("Content-Length: x"), b"GET /" + b"a" * 70_000],
        ids=lambda rest: rest[:20],
    )
    @pytest.mark.parametrize("way", ["short", "usual", "both"])
    def test_what_is_no_request_takes_nobody_elses_answer(self, receiver: Receiver, rest: bytes, way: str) -> None:
        body = orjson.dumps(order_status(id=f"{way}-{len(rest)}"))
        good = head(f"Content-Length: {len(body)}") + body
        before = {"short": [good], "usual": [b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"]}
        asked = before.get(way) or [*before["short"], *before["usual"], good]
        answer = exchange(receiver, b"".join(asked) + rest)
        assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 OK") == len(asked)

    def test_a_refused_request_does_not_become_part_of_the_next(self, receiver: Receiver, server: Server) -> None:
        inner = orjson.dumps(order_status())
        smuggled = head(f"Content-Length: {len(inner)}") + inner
        outer = head(f"Content-Length: {len(smuggled)}", secret="wrong") + smuggled
        answer = exchange(receiver, outer + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.count(b" 401 ") == 1
        assert b"accepted" not in answer
        assert stored_keys(server) == []

    @pytest.mark.parametrize(
        "begin",
        [
            lambda: b"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\n",
            lambda: b"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nX-Long: ",
            lambda: b"GET /",
        ],
        ids=["many headers", "one long header", "a long path"],
    )
    def test_a_head_without_end_is_cut_off_before_it_fills_the_memory(
        self, receiver: Receiver, begin: Callable[[], bytes]
    ) -> None:
        """Anybody can send this: it comes before the secret."""
        first = begin()
        piece = b"X-%04d: yyyyyyyy\r\n" * 3_000 % tuple(range(3_000)) if first.endswith(b"\n") else b"a" * 54_000
        before, most, sent = rss_bytes(receiver.pid), 0, 0
        with connect(receiver, 3.0) as connection:
            try:
                connection.sendall(first)
                while sent < 32 * MIB:
                    connection.sendall(piece)
                    sent += len(piece)
                    most = max(most, rss_bytes(receiver.pid))
            except (ConnectionError, TimeoutError):
                pass
        assert sent < 8 * MIB, f"{sent} bytes of a head were taken; the process grew by {most - before} bytes"

    def test_thousands_of_headers_or_a_long_one_get_an_answer(self, receiver: Receiver) -> None:
        many = "".join(f"X-{n}: y\r\n" for n in range(500)).encode()
        answer = exchange(receiver, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + many + b"\r\n")
        assert answer.split()[1] in (b"200", b"400", b"431")

    @pytest.mark.parametrize("secret", ["x" * 100_000, "\u00e4\u00f6\u00fc", "\U0001f968", "\x7f", "a" * 65_000])
    def test_odd_secrets_are_wrong_secrets(self, receiver: Receiver, server: Server, secret: str) -> None:
        answer = exchange(receiver, head("Content-Length: 2", "Connection: close", secret=secret) + b"{}")
        assert answer == b"" or answer.split()[1] in (b"401", b"400", b"431")
        assert stored_keys(server) == []

    def test_two_secret_headers_are_no_secret(self, receiver: Receiver) -> None:
        answer = exchange(
            receiver, head(f"X-Webhook-Secret: {SECRET}", "Content-Length: 2", "Connection: close") + b"{}"
        )
        assert answer.split()[1] == b"401"

    @pytest.mark.parametrize(
        "value", ["Bearer", "Bearer ", "Basic abc", "Bearer \u00e9", "Bearer " + "x" * 50_000, "\xff"]
    )
    def test_odd_tokens_are_unknown_tokens(self, receiver: Receiver, value: str) -> None:
        request = f"GET /orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {value}\r\n\r\n".encode()
        answer = exchange(receiver, request)
        assert answer == b"" or answer.split()[1] in (b"401", b"400", b"431")


@pytest.mark.parametrize("secret", ["s" * 4_000, "gehäuse-ß", "🥨🥨🥨", "with space inside", "=+/\"'{}"])
def test_a_configured_secret_may_be_long_or_not_ascii(env: dict[str, str], tmp_path: Path, secret: str) -> None:
    receiver = Receiver({**env, "GELATO_WEBHOOK_SECRET": secret}, tmp_path / "odd.log").start()
    try:
        body = orjson.dumps(order_status())
        close = ("Connection: close", f"Content-Length: {len(body)}")
        assert b'"accepted"' in exchange(receiver, head(*close, secret=secret) + body)
        assert b" 401 " in exchange(receiver, head(*close, secret=secret + "x") + body)
        assert secret.encode() not in receiver.log.read_bytes()
    finally:
        receiver.stop()
