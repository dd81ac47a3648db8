"""`POST /webhooks/gelato`: the secret, and the order in which a request is checked."""

import http.client
import signal
from pathlib import Path

import orjson
import pytest
from support.events import order_status
from support.polling import eventually
from support.processes import SECRET, Receiver
from support.raw_http import first_answer
from support.server import Server
from support.webhooks import ACME_NEW, ACME_OLD, BEARER, MIB, folded, stored_keys

from shared.store import Store


class TestTheSecret:
    @pytest.mark.parametrize(
        "headers", [{}, {"X-Webhook-Secret": "wrong"}, {"X-Webhook-Secret": ""}, {"Secret": SECRET}]
    )
    @pytest.mark.parametrize("path", ["/webhooks/gelato", "/webhooks/gelato/default", "/webhooks/gelato/nobody"])
    def test_without_it_nothing_is_stored(
        self, receiver: Receiver, server: Server, path: str, headers: dict[str, str]
    ) -> None:
        answer = receiver.client.post(path, content=orjson.dumps(order_status()), headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
        assert answer.headers["content-type"] == "application/json"
        assert stored_keys(server) == []

    @pytest.mark.parametrize("tenant", ["nobody", "Default", "closed", "default%2F", "..", "%00", "x" * 3000, "%FF"])
    def test_a_right_secret_for_a_tenant_that_has_none_is_wrong(
        self, receiver: Receiver, server: Server, tenant: str
    ) -> None:
        answer = first_answer(
            receiver,
            f"POST /webhooks/gelato/{tenant} HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
            "Content-Length: 2\r\n\r\n{}".encode(),
        )
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.endswith(b'{"error":"unauthorized"}')
        assert stored_keys(server) == []

    def test_the_header_name_is_not_case_sensitive_and_the_secret_is(self, receiver: Receiver) -> None:
        def status(name: str, value: str) -> int:
            body = orjson.dumps(order_status())
            return receiver.client.post("/webhooks/gelato", content=body, headers={name: value}).status_code

        assert status("x-WEBHOOK-secret", SECRET) == 200
        assert status("X-Webhook-Secret", SECRET.upper()) == 401
        assert status("X-Webhook-Secret", SECRET[:-1]) == 401
        assert status("X-Webhook-Secret", SECRET + "x") == 401

    def test_default_is_a_tenant_by_its_name_too(self, receiver: Receiver) -> None:
        assert receiver.post(order_status()).json()["result"] == "accepted"
        assert receiver.post(order_status(), tenant="default").json()["result"] == "duplicate"

    @pytest.mark.parametrize("secret", [ACME_OLD, ACME_NEW])
    def test_both_secrets_open_during_rotation(self, receiver: Receiver, secret: str) -> None:
        answer = receiver.client.post(
            "/webhooks/gelato/acme", content=orjson.dumps(order_status()), headers={"Signature": secret}
        )
        assert answer.json()["result"] == "accepted"

    @pytest.mark.parametrize("headers", [{"X-Webhook-Secret": ACME_OLD}, {"Signature": SECRET}, {"Signature": BEARER}])
    def test_another_tenants_secret_or_header_does_not_open(self, receiver: Receiver, headers: dict[str, str]) -> None:
        body = orjson.dumps(order_status())
        assert receiver.client.post("/webhooks/gelato/acme", content=body, headers=headers).status_code == 401

    def test_a_tenants_secret_does_not_open_the_default_tenant(self, receiver: Receiver) -> None:
        assert receiver.post(order_status(), secret=ACME_OLD).status_code == 401

    @pytest.mark.parametrize("value", [f"Bearer {BEARER}", f"bearer {BEARER}", BEARER])
    def test_it_may_come_as_a_bearer_token(self, receiver: Receiver, value: str) -> None:
        body = orjson.dumps(order_status())
        answer = receiver.client.post("/webhooks/gelato/bearer", content=body, headers={"Authorization": value})
        assert answer.status_code == 200

    def test_two_tenants_may_use_the_same_reference(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(order_status(fulfillmentStatus="passed"))
        receiver.client.post(
            "/webhooks/gelato/acme",
            content=orjson.dumps(order_status(fulfillmentStatus="shipped")),
            headers={"Signature": ACME_NEW},
        )
        assert folded(store, "REF-1")["status"] == "passed"
        assert folded(store, "REF-1", "acme")["status"] == "shipped"
        assert folded(store, "REF-1", "acme")["tenant"] == "acme"

    def test_a_header_named_by_the_environment_and_two_secrets_in_it(self, env: dict[str, str], tmp_path: Path) -> None:
        env |= {"GELATO_WEBHOOK_HEADER": "signature", "GELATO_WEBHOOK_SECRET": "old-one, new-one"}
        receiver = Receiver(env, tmp_path / "other.log").start()
        try:
            for n, secret in enumerate(("old-one", "new-one")):
                body = orjson.dumps(order_status(id=n))
                answer = receiver.client.post("/webhooks/gelato", content=body, headers={"Signature": secret})
                assert answer.json()["result"] == "accepted"
            assert receiver.post(order_status(), secret="old-one").status_code == 401
        finally:
            receiver.stop()

    def test_a_tenants_file_is_read_again_on_sighup(self, env: dict[str, str], tmp_path: Path) -> None:
        tenants = tmp_path / "tenants.toml"
        tenants.write_text('[acme]\nsecret = "first"\n')
        receiver = Receiver({**env, "GELATO_TENANTS_FILE": str(tenants)}, tmp_path / "other.log").start()

        def status(secret: str) -> int:
            return receiver.post(order_status(), tenant="acme", secret=secret).status_code

        try:
            assert (status("first"), status("second")) == (200, 401)
            tenants.write_text('[acme]\nsecret = "second"\n')
            receiver.send(signal.SIGHUP)
            eventually(lambda: status("second") == 200, what="the new secret")
            assert status("first") == 401
            tenants.write_text("[acme\n")
            receiver.send(signal.SIGHUP)
            eventually(lambda: any("not reloaded" in line["event"] for line in receiver.said()), what="a word about it")
            assert status("second") == 200
        finally:
            receiver.stop()


def test_an_empty_tenant_is_no_tenant(receiver: Receiver) -> None:
    answer = receiver.client.post("/webhooks/gelato/", content=b"{}", headers={"X-Webhook-Secret": SECRET})
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})


class TestTheOrderOfTheChecks:
    def test_the_secret_is_checked_before_the_body_is_read(self, receiver: Receiver) -> None:
        answer = first_answer(
            receiver,
            b"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\nX-Webhook-Secret: no\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 401 ")

    def test_the_secret_is_checked_before_the_size(self, receiver: Receiver) -> None:
        assert receiver.post(b"x" * (2 * MIB), secret="wrong").status_code == 401

    def test_a_length_over_the_limit_is_refused_before_the_body_comes(self, receiver: Receiver, server: Server) -> None:
        answer = first_answer(
            receiver,
            f"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
            f"Content-Length: {MIB + 1}\r\n\r\n".encode(),
        )
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'{"error":"too-large","limit":1048576}')
        assert stored_keys(server) == []

    def test_a_body_without_a_length_is_cut_off_while_reading(self, receiver: Receiver, server: Server) -> None:
        head = (
            f"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()
        # No last chunk: the answer comes although the body never ends.
        answer = first_answer(receiver, head + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'{"error":"too-large","limit":1048576}')
        assert stored_keys(server) == []

    def test_the_size_is_checked_before_the_json(self, receiver: Receiver, server: Server) -> None:
        answer = receiver.post(b"{" * (MIB + 1))
        assert (answer.status_code, answer.json()) == (413, {"error": "too-large", "limit": MIB})
        assert stored_keys(server) == []

    def test_a_body_of_exactly_the_limit_is_taken(self, receiver: Receiver) -> None:
        empty = len(orjson.dumps(order_status(comment="")))
        body = orjson.dumps(order_status(comment="x" * (MIB - empty)))
        assert len(body) == MIB
        assert receiver.post(body).json()["result"] == "accepted"
        assert receiver.post(body + b" ").status_code == 413

    def test_the_limit_is_a_setting(self, env: dict[str, str], tmp_path: Path) -> None:
        receiver = Receiver({**env, "GELATO_MAX_BODY_BYTES": "300"}, tmp_path / "other.log").start()
        try:
            assert receiver.post(order_status()).status_code == 200
            answer = receiver.post(order_status(comment="x" * 300))
            assert (answer.status_code, answer.json()) == (413, {"error": "too-large", "limit": 300})
        finally:
            receiver.stop()

    def test_an_unusable_event_is_quarantined_though_it_looks_like_a_test(self, receiver: Receiver) -> None:
        assert receiver.post(order_status(orderReferenceId="{{x}}", fulfillmentStatus=5)).status_code == 202


@pytest.mark.parametrize("megabytes", [2, 6])
def test_a_plain_client_that_sends_all_of_a_large_body_first_hears_the_answer(
    receiver: Receiver, megabytes: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.request("POST", "/webhooks/gelato", b" " * (megabytes << 20), {"X-Webhook-Secret": SECRET})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (413, b'{"error":"too-large","limit":1048576}')
    connection.close()
