"""The client of the order API, against a real HTTP server and a real Redis: questions, answers, refusals."""

import socket
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from support.gelato.orderapi import BODY, QUICK, ask, connector, gelato
from support.gelato.upstream import KEY, Fault, Upstream
from support.server import Server

from shared.errors import OrderApiError
from shared.orderapi import (
    Broken,
    NotConfigured,
    OrderApi,
    OrderApis,
    OutcomeUnknown,
    RateLimited,
    TimedOut,
    Unreachable,
    to_fold,
)
from shared.orderapi.client import retry_after_seconds
from shared.secret import Secret
from shared.settings import Settings
from shared.store import AsyncStore
from shared.tenants import Api, Tenant


class TestBothApis:
    @pytest.mark.parametrize("tenant", [gelato, connector])
    def test_submit_get_and_search(self, server: Server, upstream: Upstream, tenant: Callable[[str], Tenant]) -> None:
        async def work(api: OrderApi) -> None:
            made = await api.submit(BODY)
            assert made.status == 201
            order = made.content()
            assert (await api.get(order["id"])).content() == order
            assert (await api.search({"orderReferenceIds": ["REF-1"]})).orders()[0]["id"] == order["id"]
            assert (await api.get("unknown")).status == 404

        ask(server, tenant(upstream.url), work)
        assert {asked.headers["x-api-key"] for asked in upstream.asked} == {KEY}

    def test_the_paths_of_gelatos_own(self, server: Server, upstream: Upstream) -> None:
        async def work(api: OrderApi) -> None:
            await api.submit(BODY)
            await api.get("a/b:search?x#y")
            await api.search({})

        ask(server, gelato(upstream.url + "/"), work)
        assert [(asked.method, asked.path) for asked in upstream.asked] == [
            ("POST", "/v4/orders"),
            ("GET", "/v4/orders/a%2Fb%3Asearch%3Fx%23y"),
            ("POST", "/v4/orders:search"),
        ]
        assert all("customer-reference-id" not in asked.headers for asked in upstream.asked)
        assert upstream.asked[0].body == BODY

    def test_the_connectors_urls_and_customer(self, server: Server, upstream: Upstream) -> None:
        async def work(api: OrderApi) -> None:
            await api.submit(BODY)
            await api.get("REF-1")
            await api.search({"limit": 1})

        ask(server, connector(upstream.url), work)
        assert [(asked.method, asked.path) for asked in upstream.asked] == [
            ("POST", "/connector/submit"),
            ("GET", "/connector/orders/REF-1"),
            ("POST", "/connector/search"),
        ]
        assert {asked.headers["customer-reference-id"] for asked in upstream.asked} == {"customer-a"}

    def test_a_get_url_may_say_where_the_id_stands(self, server: Server, upstream: Upstream) -> None:
        tenant = connector(upstream.url)
        urls = {**tenant.api.urls, "get_url": f"{upstream.url}/connector/orders/{{orderId}}?version=4"}
        ask(server, Tenant("acme", api=Api(Secret(KEY), urls)), lambda api: api.get("a b"))
        assert upstream.asked[0].path == "/connector/orders/a%20b?version=4"

    @pytest.mark.parametrize("order", ["", ".", "..", "../v3/orders", "a/../b", "..\\x", "x" * 256])
    def test_an_id_never_leads_to_another_path(self, server: Server, upstream: Upstream, order: str) -> None:
        assert ask(server, gelato(upstream.url), lambda api: api.get(order)).status == 404
        assert upstream.asked == []

    def test_a_tenant_without_a_key_is_not_configured(self, server: Server) -> None:
        with pytest.raises(NotConfigured, match="acme"):
            ask(server, Tenant("acme"), lambda api: api.get("x"))

    def test_connections_are_used_again(self, server: Server, upstream: Upstream) -> None:
        async def work(api: OrderApi) -> None:
            for _ in range(5):
                await api.get("unknown")

        ports: set[int] = set()
        accept = upstream._server.process_request

        def noting(request: Any, address: Any) -> None:
            ports.add(address[1])
            accept(request, address)

        upstream._server.process_request = noting  # type: ignore[method-assign]
        try:
            ask(server, gelato(upstream.url), work)
        finally:
            upstream._server.process_request = accept  # type: ignore[method-assign]
        assert len(ports) == 1


class TestAskedAgain:
    @pytest.mark.parametrize("status", [502, 429])
    def test_a_question_that_fails_is_asked_again(self, server: Server, upstream: Upstream, status: int) -> None:
        upstream.add("REF-1")
        upstream.faults.append(Fault(status, headers=(("Retry-After", "0"),)))
        assert ask(server, gelato(upstream.url), lambda api: api.search({})).status == 200
        assert len(upstream.asked) == 2

    def test_but_not_for_ever(self, server: Server, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(reset=True)
        with pytest.raises(Broken):
            ask(server, gelato(upstream.url), lambda api: api.get("x"))
        assert len(upstream.asked) == 3

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
    def test_a_refusal_is_an_answer(self, server: Server, upstream: Upstream, status: int) -> None:
        upstream.fault_for = lambda _: Fault(status, body=b'{"why":1}')
        for call in (lambda api: api.get("x"), lambda api: api.submit(BODY)):
            answer = ask(server, gelato(upstream.url), call)
            assert (answer.status, answer.body, answer.content_type) == (status, b'{"why":1}', "application/json")
        assert len(upstream.asked) == 2

    @pytest.mark.parametrize("as_date", [False, True])
    def test_retry_after_is_kept_to(self, server: Server, upstream: Upstream, as_date: bool) -> None:
        after = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
        upstream.faults.append(Fault(429, headers=(("Retry-After", after),)))
        assert ask(server, gelato(upstream.url), lambda api: api.search({})).status == 200
        first, second = upstream.asked
        assert second.at - first.at >= (0.9 if as_date else 1.0)

    def test_who_is_to_wait_longer_than_there_is_time_is_told(self, server: Server, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(429, headers=(("Retry-After", "40"),))
        begun = time.monotonic()
        with pytest.raises(RateLimited) as caught:
            ask(server, gelato(upstream.url), lambda api: api.get("x"))
        assert caught.value.retry_after == 40
        assert time.monotonic() - begun < 2
        assert len(upstream.asked) == 1
        with pytest.raises(RateLimited):  # another process keeps to it too, and does not ask
            ask(server, gelato(upstream.url), lambda api: api.get("x"))
        assert len(upstream.asked) == 1
        with pytest.raises(RateLimited):
            ask(server, gelato(upstream.url, "another-key"), lambda api: api.submit(BODY))
        assert len(upstream.asked) == 2, "another key is another matter"

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            (None, 1),
            ("7", 7),
            ("0", 0),
            ("soon", 1),
            ("-5", 1),
            ("99999999999", 86_400),
            ("Mon, 1 Jan 2001", 1),
            ("", 1),
        ],
    )
    def test_what_retry_after_may_say(self, text: str | None, seconds: float) -> None:
        assert retry_after_seconds(text) == pytest.approx(seconds, abs=1.0 if text and "Jan" in text else 0)


class TestASubmitIsNeverRepeatedByItself:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(reset=True),
            Fault(reset=True, after=True),
            Fault(delay=30.0),
            Fault(500),
            Fault(503, headers=(("Retry-After", "0"),)),
            Fault(302, headers=(("Location", "/elsewhere"),)),
            Fault(200, headers=(("Content-Encoding", "gzip"),)),
        ],
    )
    def test_after_it_may_have_been_taken(self, server: Server, upstream: Upstream, fault: Fault) -> None:
        upstream.faults.append(fault)
        settings = Settings(api_timeout_seconds=0.4)
        with pytest.raises(OutcomeUnknown):
            ask(server, gelato(upstream.url), lambda api: api.submit(BODY), settings)
        assert len(upstream.asked) == 1

    def test_where_it_was_not_taken_it_is(self, server: Server, upstream: Upstream) -> None:
        upstream.faults.append(Fault(429, headers=(("Retry-After", "0"),)))
        assert ask(server, gelato(upstream.url), lambda api: api.submit(BODY)).status == 201
        assert len(upstream.orders) == 1

    def test_where_nothing_listens_nothing_was_sent(self, server: Server) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            with pytest.raises(Unreachable):
                ask(server, gelato(f"http://127.0.0.1:{port}"), lambda api: api.submit(BODY))


class TestWhatCannotBeUsed:
    def test_no_answer_in_time(self, server: Server, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(delay=30.0)
        begun = time.monotonic()
        with pytest.raises(TimedOut):
            ask(server, gelato(upstream.url), lambda api: api.get("x"), Settings(api_timeout_seconds=0.4))
        assert time.monotonic() - begun < 2

    def test_a_redirect_is_not_followed(self, server: Server, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(302, headers=(("Location", f"{upstream.url}/v4/orders/x"),))
        with pytest.raises(Broken, match="redirect"):
            ask(server, gelato(upstream.url), lambda api: api.get("x"))
        assert len(upstream.asked) == 1

    def test_an_answer_without_end(self, server: Server, upstream: Upstream) -> None:
        upstream.fault_for = lambda _: Fault(200, body=b"x" * 8_400_000)
        with pytest.raises(Broken):
            ask(server, gelato(upstream.url), lambda api: api.get("x"))


class TestTheKeyIsNowhere:
    @pytest.mark.parametrize(
        "fault",
        [Fault(reset=True), Fault(delay=30.0), Fault(500), Fault(302), Fault(429, headers=(("Retry-After", "99"),))],
    )
    def test_in_what_a_failed_call_leaves_behind(
        self, server: Server, upstream: Upstream, fault: Fault, capfd: pytest.CaptureFixture[str]
    ) -> None:
        upstream.fault_for = lambda _: fault
        with pytest.raises(OrderApiError) as caught:
            ask(server, connector(upstream.url), lambda api: api.get("x"), Settings(api_timeout_seconds=0.3))
        error: BaseException | None = caught.value
        lines = traceback.TracebackException.from_exception(caught.value, capture_locals=False).format()
        said = "".join(lines) + repr(caught.value) + "".join(capfd.readouterr())
        seen = []
        while error is not None:
            seen.append(error)
            assert not hasattr(error, "request"), "what httpx raises holds the request, and that the key"
            error = error.__cause__ or error.__context__
        assert seen
        assert KEY not in said
        assert b"a-secret-half" not in b"".join(server.client.scan_iter())

    def test_in_a_repr(self, upstream: Upstream) -> None:
        tenant = connector(upstream.url)
        apis = OrderApis(AsyncStore.from_url("redis://127.0.0.1:1"), QUICK)
        client: Any = apis.of(tenant)
        assert KEY not in repr(tenant) + repr(client.upstream) + repr(vars(client)) + client.upstream.name


class TestWhatIsFolded:
    def test_snapshots_without_anything_personal(self, server: Server, upstream: Upstream) -> None:
        upstream.add("REF-1")
        upstream.add("REF-2", id=None)
        answer = ask(server, gelato(upstream.url), lambda api: api.search({}))
        folded = to_fold("acme", answer)
        (incoming,) = folded.incoming
        assert (incoming.tenant, incoming.event.reference, incoming.came_as) == ("acme", "REF-1", "fetched")
        assert abs(incoming.received - time.time() * 1e6) < 5e6
        ((part, error),) = folded.unusable
        assert error.detail == "id: missing"
        assert b"Personal" not in incoming.event.text + part.text
        assert "items" not in incoming.event.content, "a search result knows nothing of the lines"

    def test_nothing_of_a_refusal(self, server: Server, upstream: Upstream) -> None:
        answer = ask(server, gelato(upstream.url), lambda api: api.get("unknown"))
        assert to_fold("acme", answer).incoming == []
