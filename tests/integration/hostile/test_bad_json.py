"""JSON that is meant to hurt: a clear answer, the service alive afterwards, and its memory bounded."""

from pathlib import Path

import orjson
import pytest
from support.events import order_status
from support.processes import OPS_TOKEN, Receiver
from support.server import Server
from support.webhooks import MIB, stored_keys

from shared.settings import Settings
from shared.store import Store
from worker.shift import shift


def good_with(number: bytes) -> bytes:
    return orjson.dumps(order_status())[:-1] + b',"n":' + number + b"}"


class TestJsonThatIsMeantToHurt:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 100_000,
            b"[" * 100_000 + b"]" * 100_000,
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            orjson.dumps(order_status())[:-1] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}",
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
            b"\xef\xbb\xbf" + orjson.dumps(order_status()),
            orjson.dumps(order_status()).decode().encode("utf-16"),
            orjson.dumps(order_status())[:-1],
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
        body = orjson.dumps(order_status())[:-1] + b',"items":[' + items.encode() + b"]}"
        assert len(body) < MIB
        answer = receiver.post(body)
        assert answer.status_code in (200, 202)
        if answer.status_code == 200:
            receiver.post(order_status(id="os_2", fulfillmentStatus="printed"))
            shift(store, Settings(), seconds=0)
            raw = server.client.get("gelato:order:{default/REF-1}")
            assert raw is not None, "the other event of this order is folded whatever became of the large one"

    def test_a_hundred_thousand_items_are_too_large(self, receiver: Receiver, server: Server) -> None:
        items = [{"itemReferenceId": n, "fulfillmentStatus": "passed"} for n in range(100_000)]
        assert receiver.post(order_status(items=items)).status_code == 413
        assert stored_keys(server) == []

    def test_a_hundred_thousand_items_are_taken_where_the_limit_allows(
        self, env: dict[str, str], tmp_path: Path, store: Store, server: Server
    ) -> None:
        large = Receiver({**env, "GELATO_MAX_BODY_BYTES": str(16 * MIB)}, tmp_path / "large.log").start()
        try:
            items = [{"itemReferenceId": n, "fulfillmentStatus": "passed"} for n in range(100_000)]
            assert large.post(order_status(items=items)).status_code in (200, 202)
            assert large.post(order_status(id="os_2")).json()["result"] == "accepted"
            shift(store, Settings(), seconds=0)
            assert server.client.get("gelato:order:{default/REF-1}") is not None
        finally:
            large.stop()

    def test_a_very_long_unusable_value_is_not_echoed(self, receiver: Receiver) -> None:
        answer = receiver.post({**order_status(), "object": "x" * 900_000})
        assert answer.status_code == 202
        assert len(answer.content) < 1_000
        assert len(receiver.post({**order_status(), "fulfillmentStatus": "x" * 900_000}).content) < 1_000
