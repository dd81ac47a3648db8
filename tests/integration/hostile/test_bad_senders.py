"""Senders that are slow, cut off, silent or many."""

import socket
import time
from contextlib import ExitStack

import orjson
import pytest
from support.events import order_status
from support.orders import letters
from support.polling import eventually
from support.processes import SECRET, Receiver
from support.raw_http import all_of, connect, head
from support.server import Server
from support.webhooks import MARK, MIB, stored_keys


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
        body = orjson.dumps(order_status())
        with connect(receiver) as connection:
            for byte in head(f"Content-Length: {len(body)}", "Connection: close") + body:
                connection.sendall(bytes([byte]))
            assert b'"accepted"' in all_of(connection)

    def test_a_good_body_in_chunks_of_a_byte_is_taken(self, receiver: Receiver) -> None:
        body = orjson.dumps(order_status())
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        with connect(receiver) as connection:
            connection.sendall(head("Transfer-Encoding: chunked", "Connection: close") + chunks)
            assert b'"accepted"' in all_of(connection)

    @pytest.mark.parametrize("chunked", [True, False])
    def test_a_body_cut_off_half_way_is_not_kept(self, receiver: Receiver, server: Server, chunked: bool) -> None:
        body = orjson.dumps(order_status(comment=MARK))
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
            assert receiver.post(order_status()).json()["result"] == "accepted"
            assert receiver.client.get("/readyz").status_code == 200

    def test_a_slow_header_keeps_nobody_waiting(self, receiver: Receiver) -> None:
        body = orjson.dumps(order_status())
        with connect(receiver) as slow:
            for part in (b"POST /webhooks/gel", b"ato HTTP/1.1\r\nHos", b"t: x\r\nX-Webhook-Sec"):
                slow.sendall(part)
                started = time.monotonic()
                assert receiver.client.get("/healthz").status_code == 200
                assert time.monotonic() - started < 2
            rest = f"ret: {SECRET}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            slow.sendall(rest + body)
            assert b'"accepted"' in all_of(slow)

    def test_four_hundred_quarantined_bodies_at_once_are_all_kept(self, receiver: Receiver, server: Server) -> None:
        with ExitStack() as stack:
            connections = [stack.enter_context(connect(receiver)) for _ in range(400)]
            for n, connection in enumerate(connections):
                body = b'{"n":%d}' % n
                connection.sendall(head(f"Content-Length: {len(body)}", "Connection: close") + body)
            answers = [all_of(connection) for connection in connections]
        assert all(b" 202 " in answer for answer in answers)
        assert len(letters(server)) == 400
