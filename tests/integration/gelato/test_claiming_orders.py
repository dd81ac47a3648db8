"""A hostile tenant claims another's orders, in every way in which an order becomes somebody's. What is its own it gets."""

import pytest
from support.gelato.hostile import REFERENCE, Victim, ask
from support.gelato.intermediary import Intermediary
from support.gelato.upstream import Fault, Upstream
from support.orders import document, fold

from shared.store import Store


class TestClaimingAnothersOrder:
    """A tenant may post snapshots, and so name any order in a document of its own."""

    @pytest.mark.parametrize("customer", ["customer-a", "a customer who is no tenant"])
    def test_by_a_snapshot_of_it(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim, store: Store, customer: str
    ) -> None:
        wanted = upstream.add("THEIRS", customer)["id"]
        forged = {"id": wanted, "orderReferenceId": "THEIRS", "fulfillmentStatus": "created"}
        assert ask(gelato, "POST", "/tenants/beta/snapshots", "beta-posts", forged).status == 200
        fold(store)
        assert document(store, "THEIRS", "beta")["connectedOrderIds"] == [wanted]
        answer = ask(gelato, "GET", f"/tenants/beta/gelato/orders/{wanted}", "beta-posts")
        assert (answer.status, answer.body) == (404, b'{"error":"unknown-order"}')
        assert b"Personal" not in answer.body

    def test_by_a_webhook_of_ones_own(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim, store: Store
    ) -> None:
        """Whoever knows its own webhook secret can say anything of its own orders; the API says whose this one is."""
        event = {"object": "orderStatus", "id": "e", "orderId": victim.elsewhere, "orderReferenceId": "ACME-ELSEWHERE"}
        for tenant in ("beta", "gamma"):  # gamma is no customer of the connector, and has no reference
            answer = gelato.receiver.post(
                {**event, "fulfillmentStatus": "created"}, tenant=tenant, secret=f"{tenant}s-secret"
            )
            assert answer.status_code == 200
            fold(store)
            assert document(store, "ACME-ELSEWHERE", tenant)["connectedOrderIds"] == [victim.elsewhere]
            assert gelato.get(victim.elsewhere, tenant=tenant).status_code == 404
            found = gelato.search({}, tenant=tenant).json()["orders"]
            assert victim.elsewhere not in [order["id"] for order in found]

    def test_by_naming_it_as_a_sibling(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim, store: Store
    ) -> None:
        forged = {"id": "mine", "orderReferenceId": REFERENCE, "fulfillmentStatus": "created"}
        forged["connectedOrderIds"] = [victim.order_id, victim.elsewhere]  # type: ignore[assignment]
        assert ask(gelato, "POST", "/tenants/beta/snapshots", "beta-posts", forged).status == 200
        fold(store)
        for order_id in (victim.order_id, victim.elsewhere):
            assert ask(gelato, "GET", f"/tenants/beta/gelato/orders/{order_id}", "beta-posts").status == 404
        found = ask(gelato, "POST", "/tenants/beta/gelato/orders:search", "beta-posts", {})
        assert victim.order_id.encode() not in found.body

    def test_submitted_here_by_another_even_if_the_api_names_no_customer(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim, store: Store
    ) -> None:
        upstream.orders[victim.order_id]["customerReferenceId"] = None
        forged = {"id": victim.order_id, "orderReferenceId": REFERENCE, "fulfillmentStatus": "created"}
        ask(gelato, "POST", "/tenants/beta/snapshots", "beta-posts", forged)
        fold(store)
        assert ask(gelato, "GET", f"/tenants/beta/gelato/orders/{victim.order_id}", "beta-posts").status == 404

    def test_by_submitting_in_anothers_name(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim, store: Store
    ) -> None:
        made = gelato.submit(REFERENCE, tenant="beta", customerReferenceId="customer-a")
        assert upstream.submits()[-1].json()["customerReferenceId"] == "customer-b"
        assert made.json()["customerReferenceId"] == "customer-b"
        own = gelato.submit("GAMMAS", tenant="gamma", customerReferenceId="customer-a")
        assert upstream.submits()[-1].json()["customerReferenceId"] is None
        assert (
            gelato.submit("G-2", tenant="gamma", customerReferenceId="a buyer").json()["customerReferenceId"]
            == "a buyer"
        )
        gelato.search({})
        fold(store)
        ours = sorted([victim.order_id, victim.sibling])
        assert document(store, REFERENCE, "acme")["connectedOrderIds"] == ours, "nothing of it is acme's"
        assert gelato.get(own.json()["id"]).status_code == 404

    def test_by_anothers_idempotency_key(self, gelato: Intermediary, upstream: Upstream, victim: Victim) -> None:
        theirs = gelato.submit(REFERENCE, tenant="beta", key="acmes-key")
        nobodys = gelato.submit("BETAS-2", tenant="beta", key="nobodys-key")
        assert theirs.status_code == nobodys.status_code == 201
        assert theirs.json()["id"] != victim.order_id
        assert set(theirs.headers) == set(nobodys.headers)

    def test_by_a_lost_answer(self, gelato: Intermediary, upstream: Upstream, victim: Victim) -> None:
        """A submit without an answer makes the service search for its reference: acme's order is not the answer."""
        upstream.faults.append(Fault(reset=True))
        assert gelato.submit("ACME-ELSEWHERE", tenant="beta", key="k").status_code == 504
        status, answer = 409, None
        while status == 409:
            answer = gelato.submit("ACME-ELSEWHERE", tenant="beta", key="k")
            status = answer.status_code
        assert answer is not None
        assert answer.json()["id"] != victim.elsewhere


class TestATenantsOwn:
    """What must not be lost by all this."""

    def test_orders_are_seen_however_they_came_to_be_its_own(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim, store: Store
    ) -> None:
        event = {"object": "orderStatus", "id": "e", "orderReferenceId": "NAMED", "fulfillmentStatus": "passed"}
        named = upstream.add("NAMED", None)["id"]
        other = upstream.add("NAMED", "how Gelato calls us")["id"]
        for order_id in (named, other):
            gelato.receiver.post({**event, "orderId": order_id}, tenant="acme", secret="acmes-secret")
        fold(store)
        for order_id in (victim.order_id, victim.sibling, victim.elsewhere, named, other):
            assert gelato.get(order_id).status_code == 200, order_id
        found = {order["id"] for order in gelato.search({}).json()["orders"]}
        assert found == {victim.order_id, victim.sibling, victim.elsewhere, named, other}

    def test_orders_without_a_customer_are_not_everybodys(self, gelato: Intermediary, upstream: Upstream) -> None:
        order_id = upstream.add("NOBODYS", None)["id"]
        for tenant in ("acme", "beta", "gamma"):
            assert gelato.get(order_id, tenant=tenant).status_code == 404
            assert gelato.search({}, tenant=tenant).json() == {"orders": []}

    def test_refusals_are_heard(self, gelato: Intermediary, upstream: Upstream, victim: Victim) -> None:
        upstream.faults += [Fault(410, body=b'{"gone":1}'), Fault(400, body=b'{"bad":1}')]
        assert gelato.get(victim.order_id).content == b'{"gone":1}'
        assert gelato.get("not-an-id").content == b'{"bad":1}'
