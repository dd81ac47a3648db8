"""`POST /webhooks/gelato`: what is the same event, and what only looks like it."""

import socket

import orjson
import pytest
from support.events import MAKERS, order_status
from support.polling import eventually
from support.processes import SECRET, Receiver
from support.server import Server
from support.webhooks import folded, stored_keys

from shared.settings import Settings
from shared.store import Store
from worker.shift import shift

SAME = (
    b'{"object":"orderStatus","id":"os_1","orderId":"o","orderReferenceId":"REF-1","fulfillmentStatus":"passed","n":%b}'
)


class TestDuplicates:
    @pytest.mark.parametrize(
        ("one", "another"),
        [
            (b"1", b"1.0"),
            (b"1", b"1e0"),
            (b"100", b"1E+2"),
            (b"100", b"0.1e3"),
            (b"0", b"-0"),
            (b"0", b"-0.0"),
            (b"0.5", b"5e-1"),
            (b"0.10", b"0.1"),
            (b"12345678901234567890123", b"12345678901234567890123.0"),
            (b"9007199254740993", b"9007199254740993.0"),
            (b'"a"', b'"\\u0061"'),
            (b'"/"', b'"\\/"'),
            (b'{"a":1,"b":2}', b'{"b":2,"a":1}'),
            (b"[1,2]", b" [ 1 ,\n2 ] "),
            (b'{"a":{"y":[{"q":1,"p":2}],"x":1}}', b'{"a":{"x":1.0,"y":[{"p":2,"q":1}]}}'),
            (b'"\xf0\x9f\xa5\xa8"', b'"\\ud83e\\udd68"'),
        ],
    )
    def test_equal_content_is_one_event(self, receiver: Receiver, one: bytes, another: bytes) -> None:
        assert receiver.post(SAME % one).json()["result"] == "accepted"
        assert receiver.post(SAME % another).json() == {"result": "duplicate", "event": "orderStatus:os_1"}
        assert receiver.post(b"\n\t " + SAME % one + b" ").json()["result"] == "duplicate"

    @pytest.mark.parametrize(
        ("one", "another"),
        [
            (b"1", b"2"),
            (b"1", b'"1"'),
            (b"1", b"true"),
            (b"0", b"false"),
            (b"0", b"null"),
            (b"[1,2]", b"[2,1]"),
            (b"[]", b"{}"),
            (b"12345678901234567890123", b"12345678901234567890124"),
            (b"18446744073709551616", b"18446744073709551617"),
            (b"9007199254740993", b"9007199254740992.0"),
            (b"0.1", b"0.10000000000000001"),
            (b'"a"', b'"A"'),
            (b'"\xc3\xa9"', b'"e\xcc\x81"'),
        ],
    )
    def test_other_content_under_the_same_id_is_folded_too(
        self, receiver: Receiver, store: Store, server: Server, one: bytes, another: bytes
    ) -> None:
        assert receiver.post(SAME % one).json()["result"] == "accepted"
        assert receiver.post(SAME % another).json() == {"result": "accepted", "event": "orderStatus:os_1"}
        assert folded(store, "REF-1")["events"] == 2

    def test_an_id_collision_is_logged(self, receiver: Receiver) -> None:
        receiver.post(order_status(orderReferenceId="COLLIDES"))
        receiver.post(order_status(orderReferenceId="COLLIDES", fulfillmentStatus="shipped"))
        mine = eventually(
            lambda: [line for line in receiver.said() if line.get("order") == "COLLIDES" and line.get("id_collision")],
            what="the log to name it",
        )
        assert len(mine) == 1

    def test_the_same_id_for_two_kinds_is_two_events(self, receiver: Receiver, store: Store, server: Server) -> None:
        for make in MAKERS.values():
            assert receiver.post(make(id="same")).json()["result"] == "accepted"
        assert folded(store, "REF-1")["events"] == 4

    def test_the_same_event_for_two_orders_is_two_events(self, receiver: Receiver) -> None:
        assert receiver.post(order_status()).json()["result"] == "accepted"
        assert receiver.post(order_status(orderReferenceId="REF-2")).json()["result"] == "accepted"

    def test_of_repeated_keys_the_last_counts_both_times(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        twice = SAME[:-1] % b"1" + b',"fulfillmentStatus":"shipped"}'
        assert receiver.post(twice).json()["result"] == "accepted"
        assert (
            receiver.post(order_status(orderId="o", fulfillmentStatus="shipped", n=1)).json()["result"] == "duplicate"
        )
        assert folded(store, "REF-1")["status"] == "shipped"

    def test_a_duplicate_of_an_event_not_folded_yet_marks_its_order_due_again(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        receiver.post(order_status())
        for shard in range(8):  # what a cluster that lost the second step looks like
            server.client.delete(f"gelato:due:{{{shard}}}", f"gelato:marks:{{{shard}}}")
        shift(store, Settings(), seconds=0)
        assert server.client.get("gelato:order:{default/REF-1}") is None
        assert receiver.post(order_status()).json()["result"] == "duplicate"
        assert folded(store, "REF-1")["events"] == 1

    def test_a_duplicate_of_a_folded_event_changes_nothing(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        receiver.post(order_status())
        before = folded(store, "REF-1")
        assert receiver.post(order_status()).json()["result"] == "duplicate"
        assert not [key for key in stored_keys(server) if key.startswith(b"gelato:due:")]
        assert folded(store, "REF-1") == before

    def test_a_number_of_any_exponent_is_an_event_like_any_other(self, receiver: Receiver) -> None:
        """JSON allows any exponent, and these are zero, or as good as zero, as every reader of JSON has it."""
        for number in (b"1e-99999999999999999999", b"0e99999999999999999999", b"0E-99999999999999999999"):
            answer = receiver.post(SAME % number)
            assert answer.status_code == 200, number

    def test_two_requests_at_the_same_moment_store_one_event(
        self, receiver: Receiver, store: Store, server: Server
    ) -> None:
        body = orjson.dumps(order_status())
        request = (
            f"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Webhook-Secret: {SECRET}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        connections = [socket.create_connection(("127.0.0.1", receiver.port), timeout=5) for _ in range(20)]
        for connection in connections:
            connection.sendall(request)
        answers = [b"".join(iter(lambda c=connection: c.recv(65536), b"")) for connection in connections]
        for connection in connections:
            connection.close()
        assert sum(b'"accepted"' in answer for answer in answers) == 1
        assert sum(b'"duplicate"' in answer for answer in answers) == 19
        assert folded(store, "REF-1")["events"] == 1
