"""A shift's connection on which operations follow one another: each gets its own answer, whatever happens to it."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.polling import eventually
from support.server import Server

from shared.errors import StoreUnavailable
from shared.store import Store
from shared.store.calls import Call, Operation, one
from shared.store.line import Line
from shared.store.scripts import WAKE


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    made = Line(store)
    yield made
    made.close()


def two_steps(key: str) -> Operation[list[Any]]:
    (first,) = yield [Call("INCR", (key,))]
    second, third = yield [Call("INCRBY", (key,), (first * 10,)), Call("GET", (key,))]
    return [first, second, third]


def echo(text: str) -> Operation[bytes]:
    return one("ECHO", arguments=(text,))


def test_operations_that_follow_one_another_each_get_their_own_answer(line: Line) -> None:
    echoes = [line.start(echo(f"{n}" * 50)) for n in range(200)]
    steps = [line.start(two_steps(f"gelato:test:{n}")) for n in range(50)]
    assert [line.wait(ticket) for ticket in reversed(steps)] == [[1, 11, b"11"]] * 50
    assert [line.wait(ticket) for ticket in echoes] == [f"{n}".encode() * 50 for n in range(200)]


def test_megabytes_both_ways_do_not_stop_each_other(line: Line) -> None:
    text = "x" * 4_000_000
    tickets = [line.start(echo(text)) for _ in range(8)]
    assert all(line.wait(ticket) == text.encode() for ticket in tickets)


def test_a_script_that_the_server_has_forgotten_is_sent_in_full(line: Line, server: Server) -> None:
    for _ in range(2):
        server.client.script_flush()
        tickets = [line.start(one(WAKE, "gelato:wake")) for _ in range(3)]
        assert [line.wait(ticket) for ticket in tickets] == [1] * 3
    assert server.client.llen("gelato:wake") == 1


def test_what_was_on_its_way_is_sent_once_more_over_a_new_connection(line: Line, server: Server) -> None:
    line.run(echo("a connection"))
    tickets: list[Any] = [line.start(one("BLPOP", "gelato:test", arguments=(0,))), line.start(echo("behind"))]
    eventually(lambda: server.client.info("clients")["blocked_clients"] == 1, what="the line to block")
    server.client.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: server.client.info("clients")["blocked_clients"] == 0, what="the connection to be gone")
    server.client.rpush("gelato:test", "x")
    assert [line.wait(ticket) for ticket in tickets] == [[b"gelato:test", b"x"], b"behind"]


def test_a_step_of_which_half_was_answered_is_answered_anew(line: Line, server: Server) -> None:
    def half() -> Operation[list[Any]]:
        return (yield [Call("ECHO", (), ("half",)), Call("BLPOP", ("gelato:test",), (0,))])

    ticket = line.start(half())
    eventually(lambda: server.client.info("clients")["blocked_clients"] == 1, what="the line to block")
    line._receive()  # the first half
    server.client.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: server.client.info("clients")["blocked_clients"] == 0, what="the connection to be gone")
    server.client.rpush("gelato:test", "x")
    assert line.wait(ticket) == [b"half", [b"gelato:test", b"x"]]


def test_an_idle_connection_that_was_closed_is_made_anew(line: Line, server: Server) -> None:
    for n in range(3):
        assert line.run(echo(f"{n}")) == f"{n}".encode()
        server.client.client_kill_filter(_type="normal", skipme=True)


def test_a_server_that_is_away_is_said_to_be_and_is_found_again(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    store = Store.from_url(server.url)
    line = Line(store)
    try:
        line.run(echo("there"))
        server.kill()
        tickets = [line.start(echo("away")) for _ in range(3)]
        for ticket in tickets:
            with pytest.raises(StoreUnavailable):
                line.wait(ticket)
        server.start()
        assert line.run(echo("there again")) == b"there again"
    finally:
        line.close()
        store.close()
        server.stop()


def test_a_server_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    store = Store.from_url(server.url, timeout_seconds=0.2)
    line = Line(store)
    assert server.process is not None
    try:
        line.run(echo("there"))
        server.process.send_signal(signal.SIGSTOP)
        tickets = [line.start(echo(f"{n}")) for n in range(2)]
        for ticket in tickets:
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                line.wait(ticket)
        server.process.send_signal(signal.SIGCONT)
        assert line.run(echo("mine")) == b"mine"  # and not the answer to what was given up
    finally:
        server.process.send_signal(signal.SIGCONT)
        line.close()
        store.close()
        server.stop()


def test_a_refusal_fails_its_operation_and_no_other(line: Line, server: Server) -> None:
    server.client.set("gelato:test", "text")
    refused = line.start(one("LPUSH", "gelato:test", arguments=("x",)))
    behind = line.start(echo("behind"))
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        line.wait(refused)
    assert line.wait(behind) == b"behind"


def test_a_server_that_takes_no_writes_any_more_is_left(line: Line, server: Server) -> None:
    before = line.run(one("CLIENT", "ID"))
    server.client.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(StoreUnavailable, match="READONLY"):
            line.run(one("SET", "gelato:test", "x"))
    finally:
        server.client.replicaof("NO", "ONE")
    assert line.run(one("CLIENT", "ID")) != before


def test_a_bug_in_an_operation_is_not_taken_for_an_outage(line: Line) -> None:
    def wrong() -> Operation[None]:
        yield [Call("PING")]
        raise KeyError("a bug for tests")

    ticket = line.start(wrong())
    behind = line.start(echo("behind"))
    with pytest.raises(KeyError):
        line.wait(ticket)
    assert line.wait(behind) == b"behind"


class Alarm(BaseException):
    """What RQ raises from a signal's handler, between any two instructions."""


def test_after_an_interruption_nobody_is_given_anothers_answer(line: Line, server: Server) -> None:
    def ring(_: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code is Line._receive.__code__:
            raise Alarm

    before = signal.signal(signal.SIGUSR1, ring)
    blocked = line.start(one("BLPOP", "gelato:test", arguments=(0,)))
    rung = threading.Event()

    def interrupt() -> None:
        while not rung.wait(0.01):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Alarm):
            line.wait(blocked)
    finally:
        rung.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert line.run(echo("mine")) == b"mine"
    with pytest.raises(StoreUnavailable, match="left"):
        line.wait(blocked)


def test_a_closed_line_gives_its_connection_back(store: Store, server: Server) -> None:
    for _ in range(20):
        line = Line(store)
        line.run(echo("x"))
        line.close()
    assert len(store.client.connection_pool._available_connections) == 1
