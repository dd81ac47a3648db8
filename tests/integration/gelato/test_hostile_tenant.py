"""A hostile tenant: every route, with another tenant's token, ids, references and headers.

acme has orders. beta is a tenant too, shares acme's connector, knows acme's ids and references, and wants to see more.
Nothing leaks, not even existence: whatever it asks is answered exactly as if there were no acme, or no such order.
"""

import http.client
import uuid
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
import pytest
import redis
from support.contents import all_texts
from support.intermediary import Intermediary, running
from support.orders import document, fold
from support.polling import eventually
from support.server import Server
from support.upstream import KEY, PERSONAL, Fault, Upstream

from shared.store import Store

REFERENCE = "ACME/83831 ü"
ESCAPED = quote(REFERENCE, safe="")
NOWHERE = "NO-SUCH-ORDER"


class Victim(NamedTuple):
    """What beta knows of acme."""

    order_id: str
    sibling: str
    elsewhere: str
    letter: str


class Answer(NamedTuple):
    """All that can be seen of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def victim(gelato: Intermediary, upstream: Upstream, store: Store) -> Victim:
    upstream.split = 2
    made = gelato.submit(REFERENCE, key="acmes-key").json()
    upstream.split = 1
    elsewhere = upstream.add("ACME-ELSEWHERE", "customer-a")["id"]
    event = {"object": "orderStatus", "id": "e-1", "orderId": made["id"], "orderReferenceId": REFERENCE}
    gelato.receiver.post({**event, "fulfillmentStatus": "printed"}, tenant="acme", secret="acmes-secret")
    letter = gelato.receiver.post({**event, "orderId": None}, tenant="acme", secret="acmes-secret").json()["deadLetter"]
    fold(store)
    assert document(store, REFERENCE, "acme")["status"] == "created"
    gelato.submit("BETAS-OWN", tenant="beta")
    fold(store)
    upstream.asked.clear()
    return Victim(made["id"], made["connectedOrderIds"][1], elsewhere, letter)


def ask(
    gelato: Intermediary, method: str, path: str, token: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request as it is written, without a client's tidying up; of a stream only its beginning."""
    connection = http.client.HTTPConnection("127.0.0.1", gelato.receiver.port, timeout=10)
    sent = {"Authorization": f"Bearer {token}", **(headers or {})}
    connection.request(method, path, None if body is None else orjson.dumps(body), sent)
    answer = connection.getresponse()
    stream = "event-stream" in answer.headers.get("content-type", "")
    seen = {name.lower(): value for name, value in answer.headers.items() if name.lower() != "date"}
    result = Answer(answer.status, seen, b"" if stream else answer.read())
    connection.close()
    return result


#: Paths of acme's, and the same of a tenant that does not exist.
OF_A_TENANT: list[tuple[str, str, Any]] = [
    ("GET", "/tenants/{tenant}/orders", None),
    ("GET", "/tenants/{tenant}/orders?status=created", None),
    ("GET", f"/tenants/{{tenant}}/orders/{ESCAPED}", None),
    ("GET", f"/tenants/{{tenant}}/orders?reference={ESCAPED}", None),
    ("GET", f"/tenants/{{tenant}}/orders/{ESCAPED}/events", None),
    ("GET", f"/tenants/{{tenant}}/orders/{ESCAPED}/changes", None),
    ("POST", "/tenants/{tenant}/snapshots", {"id": "x", "orderReferenceId": "x", "fulfillmentStatus": "created"}),
    ("POST", "/tenants/{tenant}/gelato/orders", {"orderReferenceId": "X", "items": []}),
    ("GET", f"/tenants/{{tenant}}/orders/events?reference={ESCAPED}", None),
    ("GET", f"/tenants/{{tenant}}/orders/changes?reference={ESCAPED}", None),
    ("POST", "/tenants/{tenant}/gelato/orders:search", {}),
    ("POST", "/tenants/{tenant}/gelato/orders%3Asearch", {}),
    ("GET", "/tenants/{tenant}/gelato/orders/{order_id}", None),
    ("GET", f"/tenants/{{tenant}}/gelato/orders/{ESCAPED}", None),
    ("GET", "/tenants/{tenant}/dead-letters", None),
    ("GET", "/tenants/{tenant}/dead-letters/{letter}", None),
]
#: Paths of beta's own, with something of acme's in them, and with what does not exist.
OF_AN_ORDER: list[tuple[str, str]] = [
    ("GET", "/tenants/beta/orders/{reference}"),
    ("GET", "/tenants/beta/orders?reference={reference}"),
    ("GET", "/tenants/beta/orders/{reference}/events"),
    ("GET", "/tenants/beta/orders/{reference}/changes"),
    ("GET", "/tenants/beta/orders/events?reference={reference}"),
    ("GET", "/tenants/beta/orders/changes?reference={reference}"),
    ("GET", "/tenants/beta/gelato/orders/{order_id}"),
    ("GET", "/tenants/beta/gelato/orders/{sibling}"),
    ("GET", "/tenants/beta/gelato/orders/{elsewhere}"),
    ("GET", "/tenants/beta/gelato/orders/{reference}"),
    ("GET", "/tenants/beta/gelato/orders/{order_id}?customerReferenceId=customer-a"),
    ("HEAD", "/tenants/beta/gelato/orders/{order_id}"),
    ("GET", "/dead-letters/{letter}"),
    ("DELETE", "/dead-letters/{letter}"),
    ("POST", "/dead-letters/{letter}/replay"),
]
HEADERS: list[dict[str, str]] = [
    {},
    {"Customer-Reference-ID": "customer-a"},
    {"customer-reference-id": "customer-a", "X-API-KEY": KEY},
    {"X-Tenant": "acme", "X-Forwarded-Prefix": "/tenants/acme", "X-Original-URL": "/tenants/acme/orders"},
]


class TestAnotherTenantsPaths:
    def test_are_as_if_there_were_none(self, gelato: Intermediary, victim: Victim) -> None:
        names = {"order_id": victim.order_id, "letter": victim.letter}
        for method, path, body in OF_A_TENANT:
            for token in ("beta-posts", "beta-reads"):
                theirs = ask(gelato, method, path.format(tenant="acme", **names), token, body)
                nobodys = ask(gelato, method, path.format(tenant="nobody", **names), token, body)
                assert theirs == nobodys, path
                assert theirs.status == 404, path
        assert gelato.upstream.asked == []


class TestAnothersOrderOnOnesOwnPath:
    def test_is_as_if_it_did_not_exist(self, gelato: Intermediary, upstream: Upstream, victim: Victim) -> None:
        unknown = str(uuid.uuid4())
        names = {"order_id": unknown, "sibling": unknown, "elsewhere": unknown, "letter": "0" * len(victim.letter)}
        for method, path in OF_AN_ORDER:
            theirs = path.format(reference=ESCAPED, **victim._asdict())
            nobodys = path.format(reference=NOWHERE, **names)
            for headers in HEADERS:
                answers = [ask(gelato, method, asked, "beta-posts", headers=headers) for asked in (theirs, nobodys)]
                assert answers[0] == answers[1], path
                assert answers[0].status in (403, 404), path
        assert {asked.headers["customer-reference-id"] for asked in upstream.asked} == {"customer-b"}
        assert gelato.get(victim.order_id).status_code == 200, "and nothing was changed"

    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"limit": 100},
            {"orderReferenceIds": [REFERENCE]},
            {"orderReferenceIds": [REFERENCE, "ACME-ELSEWHERE", "BETAS-OWN"]},
            {"orderReferenceIds": "ACME-ELSEWHERE", "customerReferenceId": "customer-a"},
            {"search": "Personal-Smith"},
        ],
    )
    def test_is_left_out_of_what_is_found(self, gelato: Intermediary, victim: Victim, query: Any) -> None:
        for headers in HEADERS:
            answer = ask(gelato, "POST", "/tenants/beta/gelato/orders:search", "beta-posts", query, headers)
            found = {order["orderReferenceId"] for order in orjson.loads(answer.body)["orders"]}
            assert found <= {"BETAS-OWN"}
            assert victim.order_id.encode() not in answer.body

    def test_is_not_counted_by_paging_through_an_account_that_is_shared(
        self, gelato: Intermediary, upstream: Upstream
    ) -> None:
        """gamma and epsilon have one key: each sees the pages that it would see if it were alone."""
        own = []
        for n in range(150):
            order = upstream.add(f"REF-{n}")
            if n % 3 == 0:
                own.append(order["id"])
                server = redis.Redis.from_url(gelato.receiver.env["REDIS_URL"])
                server.hset(f"gelato:submitted:{{{order['id']}}}", "gamma", "")
                server.close()

        def page(**query: Any) -> list[str]:
            answer = gelato.search(query, tenant="gamma")
            assert answer.status_code == 200
            return [order["id"] for order in answer.json()["orders"]]

        assert page() == own
        assert page(limit=20, offset=0) == own[:20]
        assert page(limit=20, offset=20) == own[20:40]
        assert page(limit=20, offset=40) == own[40:]
        assert page(limit=20, offset=60) == []
        assert page(limit=1, offset=0, orderReferenceIds=["REF-1", "REF-3"]) == [own[1]]
        assert page(limit=1, offset=1, orderReferenceIds=["REF-1", "REF-3"]) == []
        assert gelato.search({}, tenant="epsilon").json() == {"orders": []}
        for bad in ({"limit": 0}, {"limit": 101}, {"limit": "1"}, {"offset": -1}, {"offset": True}):
            assert gelato.search(bad, tenant="gamma").status_code == 400

    def test_is_not_counted_beside_what_is_found(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim
    ) -> None:
        whole = {"orders": list(upstream.orders.values()), "total": len(upstream.orders), "facets": {"customer-a": 3}}
        upstream.faults.append(Fault(200, body=orjson.dumps(whole)))
        answer = ask(gelato, "POST", "/tenants/beta/gelato/orders:search", "beta-posts", {})
        assert list(orjson.loads(answer.body)) == ["orders"]
        assert len(orjson.loads(answer.body)["orders"]) == 1
        upstream.faults.append(Fault(200, body=orjson.dumps({**orjson.loads(answer.body), "total": 3})))
        assert ask(gelato, "POST", "/tenants/beta/gelato/orders:search", "beta-posts", {}).body == answer.body

    @pytest.mark.parametrize("status", [403, 404, 409, 410, 418, 451])
    def test_is_not_told_by_the_apis_refusal_either(
        self, gelato: Intermediary, upstream: Upstream, victim: Victim, status: int
    ) -> None:
        upstream.faults.append(Fault(status, body=b'{"message":"belongs to customer-a"}'))
        path = f"/tenants/beta/gelato/orders/{victim.order_id}"
        refused = ask(gelato, "GET", path, "beta-posts")
        unknown = ask(gelato, "GET", f"/tenants/beta/gelato/orders/{uuid.uuid4()}", "beta-posts")
        assert refused == unknown
        assert (refused.status, refused.body) == (404, b'{"error":"unknown-order"}')

    def test_costs_the_same_look_ups(self, gelato: Intermediary, upstream: Upstream, victim: Victim) -> None:
        def cost(order_id: str) -> tuple[int, dict[str, int]]:
            before, asked = calls(gelato, store_client), len(upstream.asked)
            ask(gelato, "GET", f"/tenants/beta/gelato/orders/{order_id}", "beta-posts")
            after = calls(gelato, store_client)
            return len(upstream.asked) - asked, {name: after[name] - before[name] for name in after}

        store_client = gelato_client(gelato)
        cost("warm-up")
        assert cost(victim.order_id) == cost(str(uuid.uuid4())) == (1, {"hkeys": 1, "get": 1, "lrange": 0})


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


@pytest.mark.parametrize(
    ("token", "status"), [("acme-reads", 403), ("beta-posts", 404), ("beta-reads", 404), ("unknown", 401), ("", 401)]
)
def test_who_may_use_the_intermediary(
    gelato: Intermediary, upstream: Upstream, victim: Victim, token: str, status: int
) -> None:
    base = "/tenants/acme/gelato/orders"
    for method, path, body in (
        ("POST", base, {"orderReferenceId": "X"}),
        ("POST", f"{base}:search", {}),
        ("GET", f"{base}/{victim.order_id}", None),
    ):
        assert ask(gelato, method, path, token, body).status == status
    assert upstream.asked == []


def test_nothing_of_a_person_is_left_anywhere(
    gelato: Intermediary, upstream: Upstream, victim: Victim, server: Server, store: Store
) -> None:
    """After a response full of personal data has gone through every route, the ways of errors and dead letters too."""
    personal = dict(PERSONAL)
    whole = {**upstream.orders[victim.order_id], "shippingAddress": personal, "billingEntity": personal}
    odd: list[Any] = [
        {**whole, "id": personal},
        {**whole, "orderReferenceId": [personal]},
        {**whole, "fulfillmentStatus": personal},
        {**whole, "items": personal},
        {**whole, "items": [personal]},
        {**whole, "connectedOrderIds": [personal], "updatedAt": personal["lastName"]},
        {**whole, "shipment": {"packages": [personal], "minDeliveryDate": personal["city"]}},
        [whole],
        {"orders": personal},
        {"orders": [personal, whole, {**whole, "fulfillmentStatus": None}]},
    ]
    bodies = [orjson.dumps(each) for each in odd]
    bodies += [orjson.dumps(whole)[:-5], orjson.dumps(whole) + b"\xff", b"Personal-Paul Personal-Smith"]
    for body in bodies:
        for status in (200, 400):
            for call in (gelato.submit, lambda: gelato.get(victim.order_id), lambda: gelato.search({})):
                upstream.faults.append(Fault(status, body=body))
                call()
        gelato.receiver.client.post(
            "/tenants/acme/snapshots", content=body, headers={"Authorization": "Bearer acme-posts"}
        )
    upstream.faults += [Fault(500, body=bodies[0]), Fault(reset=True, after=True)]
    gelato.submit(key="k-1", customerReferenceId="Personal-Customer")
    gelato.submit(key="k-2")
    fold(store)
    kept = all_texts(server) + gelato.receiver.log.read_bytes() + gelato.receiver.get("/metrics").content
    assert personal_in(kept) == []
    assert document(store, REFERENCE, "acme")["events"] > 3, "and yet it was folded"


def test_nothing_of_a_person_is_in_the_spool(upstream: Upstream, tmp_path: Path) -> None:
    with running("redis://127.0.0.1:1/0", tmp_path, upstream, GELATO_SPOOL_PERSISTENT="yes") as gelato:
        assert gelato.submit().status_code == 201
        odd = {**upstream.add("REF-2"), "fulfillmentStatus": PERSONAL}
        upstream.faults.append(Fault(201, body=orjson.dumps(odd)))
        assert gelato.submit().status_code == 201
        eventually(lambda: len([line for line in gelato.receiver.said() if line.get("upstream_status") == 201]) == 2)
    spooled = b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*") if path.is_file())
    assert b"REF-1" in spooled
    assert b"fulfillmentStatus: must be a string" in spooled, "the dead letter"
    assert personal_in(spooled + gelato.receiver.log.read_bytes()) == []


def personal_in(kept: bytes) -> list[str]:
    sought = [*PERSONAL.values(), "Personal", KEY, "a-secret-half"]
    return [text for text in sought if text.encode() in kept or orjson.dumps(text)[1:-1] in kept]


def gelato_client(gelato: Intermediary) -> Any:
    return redis.Redis.from_url(gelato.receiver.env["REDIS_URL"], protocol=2)


def calls(gelato: Intermediary, client: Any) -> dict[str, int]:
    """How often the server was asked what a look-up asks."""
    stats = client.info("commandstats")
    return {name: stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("hkeys", "get", "lrange")}
