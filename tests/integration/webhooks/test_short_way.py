"""The short way of a webhook: what it takes, what it leaves to the usual way, and that nobody can tell them apart."""

import socket
from collections.abc import Iterator

import orjson
import pytest
from support.events import item_status
from support.polling import eventually
from support.processes import SECRET, Receiver
from support.raw_http import first_answer
from support.server import Server
from support.webhooks import stored_keys

HEAD = (
    "POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {secret}\r\nContent-Length: {length}\r\n{more}\r\n"
)


def request(body: bytes, *more: str, secret: str = SECRET, version: str = "1.1") -> bytes:
    lines = "".join(f"{line}\r\n" for line in more)
    head = HEAD.format(secret=secret, length=len(body), more=lines).replace("HTTP/1.1", f"HTTP/{version}")
    return head.encode() + body


def answers(receiver: Receiver, sent: bytes, count: int, *, seconds: float = 5.0) -> list[tuple[int, bytes, bytes]]:
    """Send bytes; the next answers on the connection: status, head, body."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=seconds) as connection:
        connection.sendall(sent)
        return [one_answer(file) for file in [connection.makefile("rb")] for _ in range(count)]


def one_answer(file: "socket.SocketIO | object") -> tuple[int, bytes, bytes]:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = file.readline()  # type: ignore[attr-defined]
        assert line, f"the connection ended after {head!r}"
        head += line
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(head[9:12]), head, file.read(length)  # type: ignore[attr-defined]


def event(n: int) -> bytes:
    return orjson.dumps(item_status(id=f"is_{n}", orderReferenceId=f"SHORT-{n}"))


@pytest.fixture
def connection(receiver: Receiver) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=5.0) as opened:
        yield opened


def test_requests_sent_together_are_answered_in_their_order(receiver: Receiver) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    wrong = request(event(2), secret="wrong")
    got = answers(receiver, request(event(1)) + health + wrong + request(b"{") + request(event(3)), 5)
    assert [status for status, _, _ in got] == [200, 200, 401, 400, 200]
    assert [orjson.loads(body).get("event") for _, _, body in got] == [
        "itemStatus:is_1",
        None,
        None,
        None,
        "itemStatus:is_3",
    ]


def test_a_connection_serves_one_webhook_after_another(connection: socket.socket) -> None:
    file = connection.makefile("rb")
    for n in range(5):
        connection.sendall(request(event(n)))
        status, _, body = one_answer(file)
        assert (status, orjson.loads(body)) == (200, {"result": "accepted", "event": f"itemStatus:is_{n}"})


@pytest.mark.parametrize("cut", [1, 20, 60, 120, 200])
def test_a_request_in_two_pieces_is_one(connection: socket.socket, cut: int) -> None:
    whole = request(event(cut))
    connection.sendall(whole[:cut])
    connection.sendall(whole[cut:])
    assert one_answer(connection.makefile("rb"))[0] == 200


@pytest.mark.parametrize(("more", "version"), [("Connection: close", "1.1"), ("Accept: */*", "1.0")])
def test_a_connection_that_shall_end_ends_after_the_answer(connection: socket.socket, more: str, version: str) -> None:
    connection.sendall(request(event(1), more, version=version))
    file = connection.makefile("rb")
    assert one_answer(file)[0] == 200
    assert file.read() == b""


def test_a_client_that_asks_first_is_told_to_go_on(connection: socket.socket) -> None:
    body = event(1)
    connection.sendall(request(body, "Expect: 100-continue")[: -len(body)])
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    assert one_answer(connection.makefile("rb"))[0] == 200


def test_both_ways_give_the_same_answer(receiver: Receiver) -> None:
    def chunked(body: bytes) -> bytes:  # goes the usual way
        head = HEAD.format(secret=SECRET, length=0, more="").replace("Content-Length: 0", "Transfer-Encoding: chunked")
        return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    def without_date(head: bytes) -> list[bytes]:
        return sorted(line for line in head.split(b"\r\n") if not line.startswith(b"date:"))

    for body in (
        event(1),
        b"{",
        b"[]",
        orjson.dumps({"event": "store_product_created"}),
        orjson.dumps(item_status(status=5)),
    ):
        receiver.post(body)  # known from here on
        (short,), (usual,) = answers(receiver, request(body), 1), answers(receiver, chunked(body), 1)
        assert (short[0], without_date(short[1]), short[2]) == (usual[0], without_date(usual[1]), usual[2])


def test_a_sender_that_does_not_wait_for_its_answer_has_its_event_kept(receiver: Receiver, server: Server) -> None:
    for n in range(20):
        with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
            connection.sendall(request(event(n)))
    eventually(lambda: sum(b":log:" in key for key in stored_keys(server)) == 20, what="all twenty to be stored")
    assert first_answer(receiver, request(event(99), "Connection: close")).startswith(b"HTTP/1.1 200")
