"""The intermediary: submit, get and search with a tenant's token, and what comes back when the order API is not well."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from support.gelato.intermediary import Intermediary, running
from support.gelato.upstream import KEY, Fault, Upstream
from support.orders import document, fold, found_document
from support.polling import eventually
from support.processes import OPS_TOKEN
from support.server import Server

from shared.store import Store


def said(gelato: Intermediary, **fields: Any) -> dict[str, Any]:
    """The last log line with these fields."""

    def look() -> list[dict[str, Any]]:
        return [
            line for line in gelato.receiver.said() if all(line.get(name) == value for name, value in fields.items())
        ]

    return eventually(look, what=f"a line with {fields}")[-1]


class TestWhatPassesThrough:
    @pytest.mark.parametrize("tenant", ["acme", "gamma"])
    def test_an_order_is_submitted_read_and_found(self, gelato: Intermediary, upstream: Upstream, tenant: str) -> None:
        made = gelato.submit(tenant=tenant)
        assert made.status_code == 201
        order_id = made.json()["id"]
        assert made.json() == upstream.orders[order_id]
        got = gelato.get(order_id, tenant=tenant)
        assert (got.status_code, got.content) == (200, made.content)
        found = gelato.search({"orderReferenceIds": ["REF-1"]}, tenant=tenant)
        assert found.status_code == 200
        assert [order["id"] for order in found.json()["orders"]] == [order_id]

    def test_key_and_customer_are_added_and_the_body_is_the_callers(
        self, gelato: Intermediary, upstream: Upstream
    ) -> None:
        body = b'{ "orderReferenceId" : "REF-1", "items": [], "total": 1.50 }'
        gelato.submit(body=body)
        (asked,) = upstream.asked
        assert asked.body == body
        assert asked.headers["x-api-key"] == KEY
        assert asked.headers["customer-reference-id"] == "customer-a"

    def test_a_callers_key_and_customer_are_dropped_and_that_is_logged(
        self, gelato: Intermediary, upstream: Upstream
    ) -> None:
        sent = {"X-API-KEY": "callers-own-key", "customer-reference-id": "customer-b", "Cookie": "c", "X-Other": "o"}
        gelato.submit(headers=sent)
        (asked,) = upstream.asked
        assert asked.headers["x-api-key"] == KEY
        assert asked.headers["customer-reference-id"] == "customer-a"
        assert not {"cookie", "x-other", "authorization"} & set(asked.headers)
        said(gelato, dropped_headers=["customer-reference-id", "x-api-key"])
        assert "callers-own-key" not in gelato.receiver.log.read_text()

    @pytest.mark.parametrize("status", [400, 402, 404, 409, 422])
    def test_a_refusal_with_its_body(self, gelato: Intermediary, upstream: Upstream, status: int) -> None:
        upstream.fault_for = lambda _: Fault(status, body=b'{"code":"x",  "why":"y"}')
        for answer in (gelato.submit(), gelato.search({})):
            assert (answer.status_code, answer.content) == (status, b'{"code":"x",  "why":"y"}')

    def test_no_header_but_the_content_type(self, gelato: Intermediary, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(
            201, headers=(("Set-Cookie", "a=b"), ("X-RateLimit", "9")), body=b'{"id":"1"}'
        )
        answer = gelato.submit()
        assert answer.status_code == 201
        assert not {"set-cookie", "x-ratelimit", "x-internal"} & {name.lower() for name in answer.headers}
        assert answer.headers["content-type"] == "application/json"

    def test_what_is_not_json_is_no_page_of_ours(self, gelato: Intermediary, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(400, body=b"<script>1</script>", content_type="text/html")
        answer = gelato.submit()
        assert (answer.status_code, answer.content) == (400, b"<script>1</script>")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_a_merchant_with_an_account_of_its_own_names_its_customers(
        self, gelato: Intermediary, upstream: Upstream
    ) -> None:
        gelato.submit(tenant="wrong", customerReferenceId="a buyer")
        (asked,) = upstream.asked
        assert asked.json()["customerReferenceId"] == "a buyer"
        assert asked.headers["customer-reference-id"] == "the merchant itself"

    def test_an_operator_may_ask_for_any_tenant(self, gelato: Intermediary, upstream: Upstream) -> None:
        assert gelato.submit(tenant="beta", token=OPS_TOKEN).status_code == 201
        assert upstream.asked[0].headers["customer-reference-id"] == "customer-b"

    def test_an_id_with_a_slash_in_it_stays_one(self, gelato: Intermediary, upstream: Upstream) -> None:
        order_id = upstream.add("a/b c", "customer-a")["id"]
        answer = gelato.get("a%2Fb%20c")
        assert (answer.status_code, answer.json()["id"]) == (200, order_id)
        assert upstream.asked[0].path == "/connector/orders/a%2Fb%20c"


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            (b"{", 400, "invalid-json"),
            (b"[]", 400, "invalid-json"),
            (b'"x"', 400, "invalid-json"),
            (b"\xff", 400, "invalid-json"),
            (b" " * 1_048_577, 413, "too-large"),
        ],
    )
    def test_is_refused_here(
        self, gelato: Intermediary, upstream: Upstream, body: bytes, status: int, error: str
    ) -> None:
        answer = gelato.submit(body=body)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert upstream.asked == []

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü"])
    def test_an_idempotency_key_is_visible_ascii(self, gelato: Intermediary, upstream: Upstream, key: str) -> None:
        answer = gelato.submit(headers={"Idempotency-Key": key.encode()})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid-header")
        assert upstream.asked == []

    @pytest.mark.parametrize("order_id", ["..", ".", "%2e%2e", "..%2Fx", "%2E%2E%5cx", "%ff", "x" * 256])
    def test_an_id_never_leads_to_another_path(self, gelato: Intermediary, upstream: Upstream, order_id: str) -> None:
        path = f"{gelato.receiver.base}/tenants/acme/gelato/orders/"
        connection = http.client.HTTPConnection("127.0.0.1", gelato.receiver.port, timeout=10)
        connection.request(
            "GET",
            path.partition(str(gelato.receiver.port))[2] + order_id,
            headers={"Authorization": "Bearer acme-posts"},
        )
        answer = connection.getresponse()
        assert (answer.status, orjson.loads(answer.read())) == (404, {"error": "unknown-order"})
        connection.close()
        assert upstream.asked == []


class TestAnUpstreamThatIsNotWell:
    @pytest.mark.parametrize(
        ("fault", "question", "submitted"),
        [
            (Fault(500), (502, "upstream-failed"), (502, "outcome-unknown")),
            (Fault(302), (502, "upstream-failed"), (502, "outcome-unknown")),
            (Fault(reset=True), (502, "upstream-failed"), (504, "outcome-unknown")),
            (Fault(delay=20), (504, "upstream-timeout"), (504, "outcome-unknown")),
            (Fault(429, headers=(("Retry-After", "9"),)), (429, "upstream-busy"), (429, "upstream-busy")),
            (Fault(401, body=b"no key " + KEY.encode()), (502, "upstream-refused"), (502, "upstream-refused")),
            (Fault(200, body=b"<html>"), (502, "upstream-failed"), (200, None)),
        ],
    )
    def test_is_told_clearly(
        self,
        gelato: Intermediary,
        upstream: Upstream,
        fault: Fault,
        question: tuple[int, str],
        submitted: tuple[int, str | None],
    ) -> None:
        upstream.fault_for = lambda _: fault
        answers = [(gelato.get("x"), question)]
        if fault.status in (200, 302, 401):  # the others are asked again and again
            answers.append((gelato.search({}), question))
        if fault.status != 429:  # after which nobody is asked for a while
            answers.append((gelato.submit(), submitted))
        for answer, (status, error) in answers:
            assert answer.status_code == status, answer.text
            if error is not None:
                assert answer.json()["error"] == error
                assert answer.json()["detail"]
            assert KEY not in answer.text
        if fault.status == 429:
            assert int(answers[0][0].headers["retry-after"]) >= 9

    def test_a_wrong_key_is_the_operators_matter(self, gelato: Intermediary) -> None:
        answer = gelato.submit(tenant="wrong")
        assert (answer.status_code, answer.json()["error"]) == (502, "upstream-refused")
        assert "a-key-that-is-wrong" not in answer.text
        line = said(gelato, tenant="wrong", event="the order API refuses the key")
        assert line["level"] == "error"
        assert "a-key-that-is-wrong" not in gelato.receiver.log.read_text()

    def test_a_tenant_without_an_api_is_told_so(self, gelato: Intermediary) -> None:
        for answer in (
            gelato.submit(tenant="delta"),
            gelato.get("x", tenant="delta"),
            gelato.search({}, tenant="delta"),
        ):
            assert (answer.status_code, answer.json()["error"]) == (501, "not-configured")

    def test_that_hangs_does_not_keep_webhooks_waiting(self, server: Server, tmp_path: Path) -> None:
        upstream = Upstream().start()
        upstream.fault_for = lambda _: Fault(delay=60)
        event = {"object": "orderStatus", "orderId": "o-1", "orderReferenceId": "R", "fulfillmentStatus": "passed"}
        patient = {"GELATO_API_TIMEOUT_SECONDS": "30", "GELATO_API_REQUESTS_PER_SECOND": "10000"}
        with (
            running(server.url, tmp_path, upstream, **patient) as gelato,
            ThreadPoolExecutor(200) as pool,
        ):

            def hang(n: int) -> int:
                return gelato.submit(f"REF-{n}", tenant=("acme", "beta")[n % 2]).status_code

            # A pool that many threads use closes connections that it takes for idle, so this one keeps all that it has.
            usual, every = gelato.receiver.client, httpx.Limits(max_connections=200, max_keepalive_connections=200)
            every.keepalive_expiry = None
            busy = gelato.receiver.client = httpx.Client(base_url=gelato.receiver.base, timeout=60.0, limits=every)
            hanging = [pool.submit(hang, n) for n in range(200)]
            eventually(lambda: sum(each.done() for each in hanging) == 136, seconds=40, what="the rest to be told")
            eventually(lambda: len(upstream.asked) == 64, seconds=40, what="each tenant's share to be on its way")
            gelato.receiver.client = usual
            took = []
            for n in range(200):
                begun = time.monotonic()
                assert gelato.receiver.post({**event, "id": f"e-{n}"}).status_code == 200
                took.append(time.monotonic() - begun)
            upstream.released.set()
            statuses = [each.result() for each in hanging]
            busy.close()
        upstream.stop()
        assert sorted(took)[197] < 0.4
        assert (statuses.count(201), statuses.count(429)) == (64, 136), "and those that hung went on"


class TestWhatIsFolded:
    def test_a_document_exists_from_submission_on(self, gelato: Intermediary, upstream: Upstream, store: Store) -> None:
        upstream.split = 3
        made = gelato.submit(items=3).json()
        fold(store)
        found = document(store, "REF-1", "acme")
        assert (found["status"], found["complete"], found["terminal"]) == ("created", False, False)
        assert found["connectedOrderIds"] == sorted(made["connectedOrderIds"])
        assert [connected["silent"] for connected in found["orders"].values()].count(True) == 2
        for order_id in made["connectedOrderIds"]:
            assert gelato.get(order_id).status_code == 200
        fold(store)
        found = document(store, "REF-1", "acme")
        assert (found["complete"], sorted(found["items"])) == (True, ["item-0", "item-1", "item-2"])

    def test_a_short_answer_is_enough_and_the_rest_is_asked_for(
        self, gelato: Intermediary, upstream: Upstream, store: Store, server: Server
    ) -> None:
        upstream.short, upstream.split = True, 2
        made = gelato.submit()
        assert sorted(made.json()) == ["createdAt", "id", "orderReferenceId"]
        fold(store)
        assert document(store, "REF-1", "acme")["status"] == "created"

        def whole() -> bool:
            fold(store)
            found = document(store, "REF-1", "acme")
            return found["complete"] is False and bool(found["items"])

        eventually(whole, what="the rest to be known")
        assert [asked.method for asked in upstream.asked] == ["POST", "GET"]
        assert server.client.zcard("gelato:dead-letters") == 0

    def test_the_same_reference_of_another_customer_is_another_order(self, gelato: Intermediary, store: Store) -> None:
        ids = {tenant: gelato.submit(tenant=tenant).json()["id"] for tenant in ("acme", "beta")}
        fold(store)
        for tenant, order_id in ids.items():
            assert document(store, "REF-1", tenant)["connectedOrderIds"] == [order_id]

    @pytest.mark.parametrize("tenant", ["acme", "gamma"])
    def test_a_search_may_hold_any_number(self, gelato: Intermediary, upstream: Upstream, tenant: str) -> None:
        headers = {"Authorization": f"Bearer {tenant}-posts"}
        body = b'{"orderTypes":["order"],"more":[-2.225073858507203e-309,0.1,123456789012345678901234567890]}'
        url = f"/tenants/{tenant}/gelato/orders:search"
        assert gelato.receiver.client.post(url, content=body, headers=headers).status_code == 200
        assert b"123456789012345678901234567890" in upstream.asked[-1].body

    @pytest.mark.parametrize("colon", ["%3A", "%3a"])
    def test_a_search_may_come_with_its_colon_encoded(
        self, gelato: Intermediary, upstream: Upstream, colon: str
    ) -> None:
        url = httpx.URL(gelato.receiver.base).copy_with(raw_path=f"/tenants/acme/gelato/orders{colon}search".encode())
        headers = {"Authorization": "Bearer acme-posts"}
        answer = gelato.receiver.client.post(url, content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"orders": []})
        assert [asked.path for asked in upstream.asked] == ["/connector/search"]
        assert gelato.receiver.client.get(url, headers=headers).status_code == 405
        said(gelato, route="/tenants/{tenant}/gelato/orders:search", method="GET", status=405)

    @pytest.mark.parametrize("path", ["orders%253Asearch", "orders%3Asearch%2F", "orders%2Fsearch", "orders%3search"])
    def test_nothing_else_is_decoded_for_the_routes(self, gelato: Intermediary, upstream: Upstream, path: str) -> None:
        url = httpx.URL(gelato.receiver.base).copy_with(raw_path=f"/tenants/acme/gelato/{path}".encode())
        answer = gelato.receiver.client.post(url, content=b"{}", headers={"Authorization": "Bearer acme-posts"})
        assert (answer.status_code, answer.json()) == (404, {"error": "not-found"})
        assert upstream.asked == []

    def test_what_was_placed_elsewhere_is_known_once_it_was_found(
        self, gelato: Intermediary, upstream: Upstream, store: Store
    ) -> None:
        upstream.add("ELSEWHERE", "customer-a", fulfillmentStatus="shipped")
        gelato.search({})
        fold(store)
        found = document(store, "ELSEWHERE", "acme")
        assert (found["status"], found["items"]) == ("shipped", {})

    def test_what_is_anothers_is_not(self, gelato: Intermediary, upstream: Upstream, store: Store) -> None:
        order = upstream.add("REF-1", "customer-b")
        gelato.search({})
        gelato.get(order["id"])
        fold(store)
        assert found_document(store, "REF-1", "acme") is None
        assert found_document(store, "REF-1", "beta") is None

    def test_an_answer_that_cannot_be_folded_is_passed_on_all_the_same(
        self, gelato: Intermediary, upstream: Upstream, server: Server
    ) -> None:
        odd = b'{"id":"o-1","orderReferenceId":"REF-1","fulfillmentStatus":{"x":"Personal-Paul"}}'
        upstream.faults.append(Fault(201, body=odd))
        answer = gelato.submit()
        assert (answer.status_code, answer.content) == (201, odd)
        (letter,) = server.client.zrange("gelato:dead-letters", 0, -1)
        kept: Any = server.client.hgetall(f"gelato:dead-letter:{{{letter.decode()}}}")
        assert kept[b"cameAs"] == b"fetched"
        assert b"Personal" not in b"".join(kept.values())


class TestTheRequestLog:
    def test_names_no_person_and_no_key(self, gelato: Intermediary) -> None:
        order_id = gelato.submit(key="an-idempotency-key").json()["id"]
        gelato.get(order_id)
        said(gelato, route="/tenants/{tenant}/gelato/orders/{order_id}", tenant="acme", status=200, upstream_status=200)
        text = gelato.receiver.log.read_text()
        assert "Personal" not in text
        assert "a-secret-half" not in text
