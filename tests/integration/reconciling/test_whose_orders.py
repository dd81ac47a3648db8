"""Reconciliation keeps to the tenant's own orders, and keeps nothing personal."""

from support.contents import all_texts
from support.gelato.reconciling import TENANT, known, order, reconcile, told
from support.gelato.upstream import KEY, PERSONAL, Upstream
from support.orders import document, fold
from support.server import Server

from shared.secret import Secret
from shared.store import Store, reconciling, submissions
from shared.tenants import Api, Tenant


def test_nothing_personal_of_an_answer_is_kept(upstream: Upstream, server: Server, store: Store) -> None:
    store.run(reconciling.want(TENANT, ["A"]))
    order(upstream, "A", "passed")
    assert reconcile(server, known(upstream)).healed == 1
    fold(store)
    held = all_texts(server)
    assert document(store, "A")["status"] == "passed"
    assert not [text for text in (*PERSONAL.values(), "Personal", KEY) if text.encode() in held]


def test_another_customers_order_is_never_folded_here(upstream: Upstream, server: Server, store: Store) -> None:
    mine = order(upstream, "A", "passed", customerReferenceId="me")
    other = order(upstream, "A", "delivered", customerReferenceId="them")
    nobodys = order(upstream, "A", "delivered")
    them = Tenant("them", customer_reference="them", api=Api(Secret(KEY), {"url": upstream.url}))
    told(store, mine, "created", connectedOrderIds=[mine["id"], other["id"]])  # whoever wrote that
    store.run(reconciling.want(TENANT, ["A"]))
    assert reconcile(server, known(upstream, them, reference="me")).healed == 1
    fold(store)
    found = document(store, "A")["orders"]
    assert found[mine["id"]]["status"] == "passed"
    assert found[other["id"]]["silent"] is True
    assert nobodys["id"] not in found


def test_an_order_that_another_tenant_submitted_here_stays_that_tenants(
    upstream: Upstream, server: Server, store: Store
) -> None:
    theirs, mine = order(upstream, "A", "passed"), order(upstream, "A", "passed")
    store.run(submissions.remember("them", [theirs["id"]], "", 1))
    store.run(submissions.remember(TENANT, [mine["id"]], "", 1))
    store.run(reconciling.want(TENANT, ["A"]))
    reconcile(server, known(upstream, Tenant("them", api=Api(Secret(KEY), {"url": upstream.url}))))
    fold(store)
    assert document(store, "A")["connectedOrderIds"] == [mine["id"]]
