"""What nobody should send: a clear answer or a clean close, the service alive afterwards, and its memory bounded."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.polling import eventually
from support.processes import OPS_TOKEN, SECRET, Receiver
from support.server import Server
from support.webhooks import stored_keys

from shared.settings import Settings
from shared.store import Store
from worker.shift import shift

MIB = 1_048_576
#: What a receiver may grow by under any attack below; at rest it has about 50 MiB.
ROOM_MIB = 100
MARK = "mark-of-a-payload-71f3"


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Iterator[Receiver]:
    """The receiver; afterwards it is the same process, small, quiet about what it was sent, and takes a good event."""
    before = rss_mib(process)
    pid = process.pid
    said_before = process.log.stat().st_size
    yield process
    answer = process.post(good(id=time.monotonic_ns()))
    assert answer.json()["result"] == "accepted", "the service takes a good event afterwards"
    assert process.pid == pid
    eventually(lambda: rss_mib(process) < before + ROOM_MIB, seconds=5, what="the memory to be given back")
    said = process.log.read_bytes()[said_before:]
    for text in (MARK, SECRET, OPS_TOKEN):
        assert text.encode() not in said, "the log says nothing of payloads and secrets"


def good(**more: Any) -> dict[str, Any]:
    return {
        "object": "orderStatus",
        "id": "os_1",
        "orderId": "order-1",
        "orderReferenceId": "REF-1",
        "fulfillmentStatus": "passed",
        **more,
    }


def good_with(number: bytes) -> bytes:
    return orjson.dumps(good())[:-1] + b',"n":' + number + b"}"


def rss_mib(receiver: Receiver) -> float:
    lines = Path(f"/proc/{receiver.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def letters(server: Server) -> int:
    return int(server.client.zcard("gelato:dead-letters"))


def head(*more: str, secret: str = SECRET, path: str = "/webhooks/gelato") -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"X-Webhook-Secret: {secret}", *more, "", "")
    return "\r\n".join(lines).encode()


def connect(receiver: Receiver, seconds: float = 5.0) -> socket.socket:
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
    with connect(receiver, seconds) as connection:
        connection.sendall(request)
        return all_of(connection)


class TestJsonThatIsMeantToHurt:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 100_000,
            b"[" * 100_000 + b"]" * 100_000,
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            orjson.dumps(good())[:-1] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}",
            b'{"object":NaN}',
            good_with(b"NaN"),
            good_with(b"Infinity"),
            good_with(b"-Infinity"),
            good_with(b"1e999"),
            good_with(b"-1e999"),
            good_with(b"0x10"),
            good_with(b"01"),
            good_with(b"+1"),
            good_with(b".5"),
            good_with(b"1."),
            good_with(b"nan"),
            good_with(b'"\xff"'),
            good_with(b'"\\ud800"'),
            good_with(b'"\xc0\xaf"'),
            b"\xef\xbb\xbf" + orjson.dumps(good()),
            orjson.dumps(good()).decode().encode("utf-16"),
            orjson.dumps(good())[:-1],
            b"\x00" * 1000,
            b"",
        ],
        ids=lambda body: repr(body[:24]),
    )
    def test_what_cannot_be_read_is_refused_and_kept(self, receiver: Receiver, server: Server, body: bytes) -> None:
        answer = receiver.post(body)
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid-json"
        assert server.client.hget(f"gelato:dead-letter:{{{answer.json()['deadLetter']}}}", "payload") == body
        assert [key for key in stored_keys(server) if b"dead-letter" not in key] == []

    @pytest.mark.parametrize("number", [b"9" * 5_000, b"1" + b"0" * 4_000, b"9" * 500_000, b"-" + b"9" * 5_000])
    def test_a_number_of_thousands_of_digits_gets_a_clear_answer(self, receiver: Receiver, number: bytes) -> None:
        assert receiver.post(good_with(number)).status_code in (200, 400)
        assert receiver.post(b'{"orderReferenceId":' + number + b"}").status_code in (202, 400)

    @pytest.mark.parametrize(
        "number", [b"1e308", b"9" * 300, b"0." + b"1" * 900_000, b"1e-999999", b"5e-324", b"0e999999"]
    )
    def test_a_number_that_can_be_read_is_read(self, receiver: Receiver, number: bytes) -> None:
        assert receiver.post(good_with(number)).json()["result"] == "accepted"
        assert receiver.post(good_with(number)).json()["result"] == "duplicate"

    @pytest.mark.parametrize(
        "number", [b"1e-99999999999999999999", b"0e99999999999999999999", b"0.0e-9999999999999999999999"]
    )
    def test_no_exponent_is_too_long_for_a_clear_answer(self, receiver: Receiver, number: bytes) -> None:
        assert receiver.post(good_with(number)).status_code in (200, 400)
        answer = receiver.client.post(
            "/snapshots", content=good_with(number), headers={"Authorization": f"Bearer {OPS_TOKEN}"}
        )
        assert answer.status_code in (200, 202, 400)

    def test_numbers_written_short_do_not_become_long_in_the_database(self, receiver: Receiver, server: Server) -> None:
        """1e308 is five bytes; spelled out it is 309. A body of a MiB must not take fifty in Redis and on its way."""
        body = good_with(b"[" + b",".join([b"1e308"] * 170_000) + b"]")
        assert len(body) < MIB
        before = int(server.client.info("memory")["used_memory"])
        assert receiver.post(body).status_code in (200, 202, 400)
        grown = int(server.client.info("memory")["used_memory"]) - before
        assert grown < 8 * MIB

    def test_as_many_items_as_fit_into_a_body_are_folded(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        items = ",".join(f'{{"itemReferenceId":{n},"fulfillmentStatus":"passed"}}' for n in range(19_000))
        body = orjson.dumps(good())[:-1] + b',"items":[' + items.encode() + b"]}"
        assert len(body) < MIB
        answer = receiver.post(body)
        assert answer.status_code in (200, 202)
        if answer.status_code == 200:
            receiver.post(good(id="os_2", fulfillmentStatus="printed"))
            shift(store, Settings(), seconds=0)
            raw = server.client.get("gelato:order:{default/REF-1}")
            assert raw is not None, "the other event of this order is folded whatever became of the large one"

    def test_a_hundred_thousand_items_are_too_large(self, receiver: Receiver, server: Server) -> None:
        items = [{"itemReferenceId": n, "fulfillmentStatus": "passed"} for n in range(100_000)]
        assert receiver.post(good(items=items)).status_code == 413
        assert stored_keys(server) == []

    def test_a_hundred_thousand_items_are_taken_where_the_limit_allows(
        self, env: dict[str, str], tmp_path: Path, store: Store, server: Server
    ) -> None:
        large = Receiver({**env, "GELATO_MAX_BODY_BYTES": str(16 * MIB)}, tmp_path / "large.log").start()
        try:
            items = [{"itemReferenceId": n, "fulfillmentStatus": "passed"} for n in range(100_000)]
            assert large.post(good(items=items)).status_code in (200, 202)
            assert large.post(good(id="os_2")).json()["result"] == "accepted"
            shift(store, Settings(), seconds=0)
            assert server.client.get("gelato:order:{default/REF-1}") is not None
        finally:
            large.stop()

    def test_a_very_long_unusable_value_is_not_echoed(self, receiver: Receiver) -> None:
        answer = receiver.post({**good(), "object": "x" * 900_000})
        assert answer.status_code == 202
        assert len(answer.content) < 1_000
        assert len(receiver.post({**good(), "fulfillmentStatus": "x" * 900_000}).content) < 1_000


class TestSlowAndBrokenSenders:
    @pytest.mark.parametrize("framing", ["chunked", "length", "no-length-that-fits"])
    def test_two_mebibytes_sent_slowly_are_cut_off(self, receiver: Receiver, server: Server, framing: str) -> None:
        piece = b"x" * 65536
        how = {"chunked": "Transfer-Encoding: chunked", "length": f"Content-Length: {2 * MIB}"}
        with connect(receiver) as connection:
            connection.sendall(head(how.get(framing, f"Content-Length: {2 * MIB}")))
            sent = 0
            answer = b""
            for _ in range(32):
                try:
                    connection.sendall(b"10000\r\n" + piece + b"\r\n" if framing == "chunked" else piece)
                except ConnectionError:
                    break
                sent += len(piece)
                time.sleep(0.005)
            answer = all_of(connection)
        assert sent < 2 * MIB or b" 413 " in answer, "either the answer was read, or the door was shut before the end"
        assert stored_keys(server) == []

    def test_the_answer_to_a_large_body_is_read_by_a_usual_client(self, receiver: Receiver) -> None:
        for size in (MIB + 1, 2 * MIB, 8 * MIB):
            answer = receiver.post(b"x" * size)
            assert answer.json() == {"error": "too-large", "limit": MIB}

    def test_a_good_body_sent_byte_by_byte_is_taken(self, receiver: Receiver) -> None:
        body = orjson.dumps(good())
        with connect(receiver) as connection:
            for byte in head(f"Content-Length: {len(body)}", "Connection: close") + body:
                connection.sendall(bytes([byte]))
            assert b'"accepted"' in all_of(connection)

    def test_a_good_body_in_chunks_of_a_byte_is_taken(self, receiver: Receiver) -> None:
        body = orjson.dumps(good())
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        with connect(receiver) as connection:
            connection.sendall(head("Transfer-Encoding: chunked", "Connection: close") + chunks)
            assert b'"accepted"' in all_of(connection)

    @pytest.mark.parametrize("chunked", [True, False])
    def test_a_body_cut_off_half_way_is_not_kept(self, receiver: Receiver, server: Server, chunked: bool) -> None:
        body = orjson.dumps(good(comment=MARK))
        before = sum(line.get("result") == "cut-off" for line in receiver.said())
        connection = connect(receiver)
        if chunked:
            connection.sendall(head("Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + body + b"\r\n")
        else:
            connection.sendall(head(f"Content-Length: {len(body) + 10}") + body)
        connection.close()
        eventually(
            lambda: sum(line.get("result") == "cut-off" for line in receiver.said()) == before + 1,
            what="the cut to be noticed",
        )
        assert stored_keys(server) == []

    def test_a_sender_that_resets_does_not_leave_an_error_behind(self, receiver: Receiver, server: Server) -> None:
        before = len([line for line in receiver.said() if line.get("level") == "error"])
        for _ in range(20):
            connection = connect(receiver)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.sendall(head("Content-Length: 100000") + b'{"x":"')
            connection.close()
        assert receiver.client.get("/healthz").status_code == 200
        assert len([line for line in receiver.said() if line.get("level") == "error"]) == before
        assert stored_keys(server) == []

    def test_two_hundred_silent_connections_keep_nobody_out(self, receiver: Receiver) -> None:
        with ExitStack() as stack:
            for n in range(200):
                connection = stack.enter_context(connect(receiver))
                connection.sendall((b"", b"POST /webh", head()[:-4], head("Content-Length: 100"))[n % 4])
            assert receiver.post(good()).json()["result"] == "accepted"
            assert receiver.client.get("/readyz").status_code == 200

    def test_a_slow_header_keeps_nobody_waiting(self, receiver: Receiver) -> None:
        body = orjson.dumps(good())
        with connect(receiver) as slow:
            for part in (b"POST /webhooks/gel", b"ato HTTP/1.1\r\nHos", b"t: x\r\nX-Webhook-Sec"):
                slow.sendall(part)
                started = time.monotonic()
                assert receiver.client.get("/healthz").status_code == 200
                assert time.monotonic() - started < 2
            rest = f"ret: {SECRET}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            slow.sendall(rest + body)
            assert b'"accepted"' in all_of(slow)


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
        bodies = [orjson.dumps(good(id=f"p{n}")) for n in range(50)]
        requests = [head(f"Content-Length: {len(body)}") + body for body in bodies]
        answer = exchange(
            receiver, b"".join(requests) + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer.count(b" 200 OK") == 51
        places = [answer.index(b'orderStatus:p%d"' % n) for n in range(50)]
        assert places == sorted(places)

    def test_a_refused_request_does_not_become_part_of_the_next(self, receiver: Receiver, server: Server) -> None:
        inner = orjson.dumps(good())
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
        before, most, sent = rss_mib(receiver), 0.0, 0
        with connect(receiver, 3.0) as connection:
            try:
                connection.sendall(first)
                while sent < 32 * MIB:
                    connection.sendall(piece)
                    sent += len(piece)
                    most = max(most, rss_mib(receiver))
            except (ConnectionError, TimeoutError):
                pass
        assert sent < 8 * MIB, f"{sent} bytes of a head were taken; the process grew by {most - before:.0f} MiB"

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
        body = orjson.dumps(good())
        close = ("Connection: close", f"Content-Length: {len(body)}")
        assert b'"accepted"' in exchange(receiver, head(*close, secret=secret) + body)
        assert b" 401 " in exchange(receiver, head(*close, secret=secret + "x") + body)
        assert secret.encode() not in receiver.log.read_bytes()
    finally:
        receiver.stop()


class TestPathsAndQueries:
    @pytest.mark.parametrize(
        "target",
        [
            "/orders/%",
            "/orders/%zz",
            "/orders/%FF%FE",
            "/orders/%00",
            "/orders/" + "x" * 10_000,
            "/orders/..%2f..%2fetc",
            "/orders?limit=abc",
            "/orders?limit=" + "9" * 5_000,
            "/orders?limit=-1",
            "/orders?limit=%C2%B2",
            "/orders?cursor=xx",
            "/orders?cursor=%FF",
            "/orders?cursor=WzFlOTk5LFtdXQ",
            "/orders?cursor=" + "W1tb" * 5_000,
            "/orders?cursor=WzE4NDQ2NzQ0MDczNzA5NTUxNjE1LFtdXQ",
            "/orders?terminal=perhaps",
            "/orders?updatedSince=yesterday",
            "/orders?updatedSince=" + "9" * 5_000,
            "/orders?reference=",
            "/orders?reference=%FF",
            "/orders?" + "a=b&" * 5_000,
            "//orders",
            "/orders/",
            "/tenants//orders",
            "/tenants/%FF/orders",
            "/tenants/" + "x" * 5_000 + "/orders",
        ],
        ids=lambda target: target[:40],
    )
    def test_an_odd_one_gets_a_clear_answer_in_json(self, receiver: Receiver, target: str) -> None:
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {OPS_TOKEN}\r\n\r\n"
        answer = exchange(receiver, request.encode())
        assert answer.split()[1] in (b"200", b"400", b"404", b"414")
        top, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/json" in top
        assert orjson.loads(body)

    def test_four_hundred_quarantined_bodies_at_once_are_all_kept(self, receiver: Receiver, server: Server) -> None:
        with ExitStack() as stack:
            connections = [stack.enter_context(connect(receiver)) for _ in range(400)]
            for n, connection in enumerate(connections):
                body = b'{"n":%d}' % n
                connection.sendall(head(f"Content-Length: {len(body)}", "Connection: close") + body)
            answers = [all_of(connection) for connection in connections]
        assert all(b" 202 " in answer for answer in answers)
        assert letters(server) == 400
