"""A hostile tenant: every route, with another tenant's token, ids, references and headers.

acme has orders. beta is a tenant too, shares acme's connector, knows acme's ids and references, and wants to see more.
Nothing leaks, not even existence: whatever it asks is answered exactly as if there were no acme, or no such order.
"""

import uuid
from typing import Any

import orjson
import pytest
import redis
from support.gelato.hostile import ESCAPED, NOWHERE, REFERENCE, Victim, ask
from support.gelato.intermediary import Intermediary
from support.gelato.upstream import KEY, Fault, Upstream

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
        def once(order_id: str) -> tuple[int, dict[str, int]]:
            before, asked = calls(gelato, store_client), len(upstream.asked)
            ask(gelato, "GET", f"/tenants/beta/gelato/orders/{order_id}", "beta-posts")
            after = calls(gelato, store_client)
            return len(upstream.asked) - asked, {name: after[name] - before[name] for name in after}

        def cost(order_id: str) -> tuple[int, dict[str, int]]:
            """The least of three: what a receiver does on its own now and then is asked of the server too."""
            return min((once(order_id) for _ in range(3)), key=lambda each: sum(each[1].values()))

        store_client = gelato_client(gelato)
        cost("warm-up")
        assert cost(victim.order_id) == cost(str(uuid.uuid4())) == (1, {"hkeys": 1, "get": 1, "lrange": 0})


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


def gelato_client(gelato: Intermediary) -> Any:
    return redis.Redis.from_url(gelato.receiver.env["REDIS_URL"], protocol=2)


def calls(gelato: Intermediary, client: Any) -> dict[str, int]:
    """How often the server was asked what a look-up asks."""
    stats = client.info("commandstats")
    return {name: stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("hkeys", "get", "lrange")}
