"""An `Idempotency-Key`: an order is submitted once, whatever happens to answers and processes."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.contents import all_texts
from support.gelato.intermediary import Intermediary, order, running
from support.gelato.upstream import Asked, Fault, Upstream
from support.polling import eventually
from support.server import Server

from shared.store import Store, submissions


def unsettled(store: Store) -> list[tuple[str, str]]:
    later = math.ceil(time.time() * 1000) + 1000
    return [(each.tenant, each.reference) for each in store.run(submissions.unsettled(later, 100))]


def when_settled(gelato: Intermediary, **arguments: Any) -> Any:
    """Submit until nobody says "in progress"."""

    def look() -> Any:
        answer = gelato.submit(**arguments)
        if answer.status_code == 409:
            assert answer.json()["error"] == "in-progress"
            assert int(answer.headers["retry-after"]) >= 1
            return None
        return answer

    return eventually(look, what="the outcome to settle")


class TestARepeat:
    def test_gets_the_order_as_it_is_now(self, gelato: Intermediary, upstream: Upstream) -> None:
        first = gelato.submit(key="k-1")
        assert first.status_code == 201
        order_id = first.json()["id"]
        upstream.orders[order_id]["fulfillmentStatus"] = "printed"
        again = gelato.submit(key="k-1")
        assert (again.status_code, again.json()["id"]) == (200, order_id)
        assert again.json()["fulfillmentStatus"] == "printed"
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        assert len(upstream.submits()) == 1

    def test_is_one_whatever_the_order_of_its_fields(self, gelato: Intermediary, upstream: Upstream) -> None:
        sent = order("REF-1")
        gelato.submit(key="k-1", body=orjson.dumps(sent))
        backwards = orjson.dumps(dict(reversed(sent.items())), option=orjson.OPT_INDENT_2)
        assert gelato.submit(key="k-1", body=backwards).status_code == 200
        assert len(upstream.submits()) == 1

    def test_with_another_order_is_refused(self, gelato: Intermediary, upstream: Upstream) -> None:
        gelato.submit(key="k-1")
        answer = gelato.submit("REF-2", key="k-1")
        assert (answer.status_code, answer.json()["error"]) == (422, "idempotency-key-reused")
        assert len(upstream.submits()) == 1

    def test_of_another_tenant_is_another_order(self, gelato: Intermediary, upstream: Upstream) -> None:
        ids = {gelato.submit(key="k-1", tenant=tenant).json()["id"] for tenant in ("acme", "beta", "gamma")}
        assert len(ids) == 3

    def test_after_a_refusal_is_a_new_attempt(self, gelato: Intermediary, upstream: Upstream) -> None:
        upstream.faults += [Fault(422), Fault(429, headers=(("Retry-After", "40"),))]
        assert gelato.submit(key="k-1").status_code == 422
        assert gelato.submit("REF-2", key="k-1").status_code == 429, "nothing was taken: the key is free again"

    def test_at_the_same_moment_waits(self, gelato: Intermediary, upstream: Upstream) -> None:
        upstream.faults.append(Fault(delay=0.6))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: gelato.submit(key="k-1"), range(8)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [201] + [409] * 7
        busy = next(answer for answer in answers if answer.status_code == 409)
        assert busy.json()["error"] == "in-progress"
        assert 1 <= int(busy.headers["retry-after"]) <= 6
        assert len(upstream.submits()) == 1


class TestALostAnswer:
    def test_is_found_by_search_if_the_order_was_taken(
        self, gelato: Intermediary, upstream: Upstream, store: Store
    ) -> None:
        upstream.faults.append(Fault(reset=True, after=True))
        lost = gelato.submit(key="k-1")
        assert (lost.status_code, lost.json()["error"]) == (504, "outcome-unknown")
        assert unsettled(store) == [("acme", "REF-1")]
        assert gelato.submit(key="k-1").status_code == 409, "an order may take a moment to appear"
        found = when_settled(gelato, key="k-1")
        assert (found.status_code, found.json()["orderReferenceId"]) == (200, "REF-1")
        assert len(upstream.submits()) == 1
        assert gelato.get(found.json()["id"]).status_code == 200
        again = gelato.submit(key="k-1")
        assert again.json()["id"] == found.json()["id"]

    def test_is_submitted_if_it_was_not(self, gelato: Intermediary, upstream: Upstream) -> None:
        upstream.faults.append(Fault(reset=True))
        assert gelato.submit(key="k-1").status_code == 504
        answer = when_settled(gelato, key="k-1")
        assert answer.status_code == 201
        assert [asked.path for asked in upstream.asked] == [
            "/connector/submit",
            "/connector/search",
            "/connector/submit",
        ]

    def test_is_never_the_same_order_of_an_earlier_submit(self, gelato: Intermediary, upstream: Upstream) -> None:
        """A reference may be submitted twice on purpose, each with a key of its own."""
        earlier = gelato.submit(key="k-1").json()["id"]
        upstream.faults.append(Fault(reset=True))
        assert gelato.submit(key="k-2").status_code == 504
        answer = when_settled(gelato, key="k-2")
        assert answer.status_code == 201
        assert answer.json()["id"] != earlier

    @pytest.mark.parametrize("customer", ["customer-b", "somebody-else"])
    def test_is_never_another_customers_order(self, gelato: Intermediary, upstream: Upstream, customer: str) -> None:
        upstream.add("REF-1", customer)
        upstream.faults.append(Fault(reset=True))
        assert gelato.submit(key="k-1").status_code == 504
        assert when_settled(gelato, key="k-1").status_code == 201

    def test_nor_one_that_is_older(self, gelato: Intermediary, upstream: Upstream) -> None:
        upstream.add("REF-1", "customer-a", createdAt="2020-01-01T00:00:00+00:00")
        upstream.faults.append(Fault(reset=True))
        assert gelato.submit(key="k-1").status_code == 504
        assert when_settled(gelato, key="k-1").status_code == 201

    def test_stays_unknown_while_the_search_fails(self, gelato: Intermediary, upstream: Upstream) -> None:
        upstream.faults.append(Fault(reset=True, after=True))
        assert gelato.submit(key="k-1").status_code == 504

        def broken(asked: Asked) -> Fault | None:
            return Fault(400) if asked.path.endswith("search") else None

        upstream.fault_for = broken
        assert when_settled(gelato, key="k-1").status_code == 502
        upstream.fault_for = lambda _: None
        assert when_settled(gelato, key="k-1").status_code == 200
        assert len(upstream.submits()) == 1

    def test_without_a_key_is_noted_for_reconciliation(
        self, gelato: Intermediary, upstream: Upstream, store: Store
    ) -> None:
        gelato.submit("FINE")
        upstream.faults += [Fault(400)]
        gelato.submit("REFUSED")
        assert unsettled(store) == []
        upstream.faults.append(Fault(delay=20))
        assert gelato.submit("a/b ü").status_code == 504
        upstream.faults.append(Fault(500))
        assert gelato.submit("REF-9", tenant="gamma").status_code == 502
        assert unsettled(store) == [("acme", "a/b ü"), ("gamma", "REF-9")]
        members = [each.member for each in store.run(submissions.unsettled(2**50, 1))]
        store.run(submissions.settle_members(members))
        assert unsettled(store) == [("gamma", "REF-9")]


class TestADeath:
    def test_between_sending_and_the_answer_leads_to_a_search(self, server: Server, tmp_path: Path) -> None:
        upstream = Upstream().start()
        upstream.faults.append(Fault(reset=True, after=True, delay=0.3))
        with running(server.url, tmp_path, upstream, GELATO_API_TIMEOUT_SECONDS="0.4") as gelato:
            with ThreadPoolExecutor(1) as pool:
                lost = pool.submit(gelato.submit, key="k-1")

                def sent() -> bool:
                    nonlocal lost
                    if lost.done() and not upstream.asked:  # not even connected in so short a time
                        lost = pool.submit(gelato.submit, key="k-1")
                    return bool(upstream.asked)

                eventually(sent, what="the order to be sent")
                gelato.receiver.kill()
                assert lost.exception() is not None
            gelato.receiver.start()
            found = when_settled(gelato, key="k-1")
            assert found.status_code == 200
            assert len(upstream.submits()) == 1
        upstream.stop()

    def test_of_redis_before_a_submit_with_a_key_sends_nothing(self, tmp_path: Path) -> None:
        upstream = Upstream().start()
        with running("redis://127.0.0.1:1/0", tmp_path, upstream) as gelato:
            answer = gelato.submit(key="k-1")
            assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
            assert upstream.asked == []
            assert gelato.submit().status_code == 201, "without a key nothing is promised"
            assert gelato.get("x").status_code == 503, "whose order it is cannot be told"
        upstream.stop()


def test_only_ids_and_digests_are_kept(gelato: Intermediary, server: Server) -> None:
    gelato.submit(key="a-key-that-says-something")
    kept = all_texts(server)
    assert b"a-key-that-says-something" not in kept
    assert b"Personal" not in kept
    assert b"customer-a" not in kept


def test_what_is_kept_ends_with_the_retention(gelato: Intermediary, server: Server) -> None:
    order_id = gelato.submit(key="k-1").json()["id"]
    (submit,) = server.client.scan_iter("gelato:submit:*")
    for key in (submit, f"gelato:submitted:{{{order_id}}}"):
        assert 729 * 86_400 < server.client.ttl(key) <= 730 * 86_400
