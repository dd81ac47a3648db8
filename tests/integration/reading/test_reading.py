"""Reading over HTTP: documents, lists, raw events; who may read what."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from support.processes import OPS_TOKEN, READ_TOKEN, SECRET, TENANT_TOKEN, Receiver
from support.server import Server

from shared import canonical
from shared.events import Usable, content_digest, read_webhook
from shared.settings import Settings
from shared.store import Store, intake
from shared.store.intake import Incoming
from worker.shift import shift

UNKNOWN = {"error": "unknown-order"}
ODD_REFERENCES = [
    "a/b/c",
    "a b",
    "{x}",
    "line\nbreak",
    "nul\x00inside",
    "\u202ertl\u200f",
    "quo\"te's",
    "🥨" * 255,
    "%2F",
    "100%",
    "a?b#c&d=e",
    "+",
    ";,",
    "..",
    ".",
    "x/events",
    "events",
    " ",
    "0",
    "\\",
]


def event(reference: str = "REF-1", **more: Any) -> dict[str, Any]:
    return {
        "object": "orderStatus",
        "id": "os_1",
        "orderId": "order-1",
        "orderReferenceId": reference,
        "fulfillmentStatus": "passed",
        **more,
    }


def fold(store: Store, settings: Settings | None = None) -> None:
    while shift(store, settings or Settings(), seconds=0)["waiting"]:
        pass


def raw_get(receiver: Receiver, target: str, token: str = OPS_TOKEN) -> httpx.Response:
    """GET with the target exactly as given: clients resolve dots and escape what they please."""
    url = httpx.URL(receiver.base).copy_with(raw_path=target.encode())
    return receiver.client.get(url, headers={"Authorization": f"Bearer {token}"})


class TestOneDocument:
    def test_it_is_what_downstream_reads(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(event())
        fold(store)
        answer = receiver.get("/orders/REF-1")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.content == server.client.get("gelato:order:{default/REF-1}")
        assert receiver.get("/tenants/default/orders/REF-1").content == answer.content
        assert receiver.get("/orders", params={"reference": "REF-1"}).content == answer.content
        assert receiver.get("/tenants/default/orders", params={"reference": "REF-1"}).content == answer.content

    def test_an_unknown_order(self, receiver: Receiver) -> None:
        for path in ("/orders/none", "/tenants/default/orders/none", "/orders?reference=none", "/orders?reference="):
            answer = receiver.get(path)
            assert (answer.status_code, answer.json()) == (404, UNKNOWN)

    @pytest.mark.parametrize("path", ["/orders/%FF", "/orders/%C3%28", "/orders/%ED%A0%80"])
    def test_what_cannot_be_a_reference_is_unknown(self, receiver: Receiver, path: str) -> None:
        answer = raw_get(receiver, path)
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)

    def test_an_order_that_is_not_folded_yet_is_unknown(self, receiver: Receiver) -> None:
        receiver.post(event())
        assert receiver.get("/orders/REF-1").status_code == 404

    def test_a_reader_that_has_it_is_told_so(self, receiver: Receiver, store: Store) -> None:
        receiver.post(event())
        fold(store)
        etag = receiver.get("/orders/REF-1").headers["etag"]
        assert etag.startswith('"')
        assert etag.endswith('"')
        for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = receiver.get("/orders/REF-1", headers={"If-None-Match": header})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == etag
        for header in ('"other"', "", etag.strip('"')):
            assert receiver.get("/orders/REF-1", headers={"If-None-Match": header}).status_code == 200
        receiver.post(event(fulfillmentStatus="shipped"))
        fold(store)
        answer = receiver.get("/orders/REF-1", headers={"If-None-Match": etag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != etag

    def test_a_duplicate_keeps_the_etag(self, receiver: Receiver, store: Store) -> None:
        receiver.post(event())
        fold(store)
        etag = receiver.get("/orders/REF-1").headers["etag"]
        receiver.post(event())
        fold(store)
        assert receiver.get("/orders/REF-1").headers["etag"] == etag

    @pytest.mark.parametrize("reference", ODD_REFERENCES)
    def test_any_reference_can_be_asked_for(self, receiver: Receiver, store: Store, reference: str) -> None:
        receiver.post(event(reference))
        fold(store)
        escaped = quote(reference, safe="").replace(".", "%2E")
        for path in (
            f"/orders/{escaped}",
            f"/tenants/default/orders/{escaped}",
            f"/orders?reference={escaped}",
            f"/orders/{escaped.replace('%2F', '%2f')}",
        ):
            answer = raw_get(receiver, path)
            assert answer.status_code == 200, path
            assert answer.json()["orderReferenceId"] == reference
        (entry,) = raw_get(receiver, f"/orders/{escaped}/events").json()["events"]
        assert entry["event"]["orderReferenceId"] == reference
        (summary,) = receiver.get("/orders").json()["orders"]
        assert summary["orderReferenceId"] == reference

    @pytest.mark.parametrize(
        "path", ["/orders/REF-1", "/orders", "/orders/REF-1/events", "/healthz", "/readyz", "/orders/none", "/nowhere"]
    )
    def test_head_is_get_without_a_body(self, receiver: Receiver, store: Store, path: str) -> None:
        receiver.post(event())
        fold(store)
        get = receiver.get(path)
        head = receiver.client.head(path, headers={"Authorization": f"Bearer {OPS_TOKEN}"})
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        assert head.headers.get("etag") == get.headers.get("etag")


def identifiers(receiver: Receiver, **query: Any) -> list[str]:
    """The references of all pages."""
    found: list[str] = []
    cursor: str | None = None
    for _ in range(1_000):
        more = {} if cursor is None else {"cursor": cursor}
        page = receiver.get("/orders", params={**query, **more}, timeout=2.0)
        assert page.status_code == 200
        found += [summary["orderReferenceId"] for summary in page.json()["orders"]]
        assert len(page.json()["orders"]) <= int(query.get("limit", 50))
        cursor = page.json()["cursor"]
        if cursor is None:
            return found
    pytest.fail("the pages do not end")


class TestTheList:
    def test_an_empty_one(self, receiver: Receiver) -> None:
        assert receiver.get("/orders").json() == {"orders": [], "cursor": None}

    def test_the_newest_change_comes_first(self, receiver: Receiver, store: Store) -> None:
        for reference in ("A", "B", "C", "A"):
            receiver.post(event(reference, id=f"os_{time.monotonic_ns()}", fulfillmentStatus=f"s{time.monotonic_ns()}"))
            time.sleep(0.003)  # another millisecond
            fold(store)
        assert identifiers(receiver) == ["A", "C", "B"]

    @pytest.mark.parametrize("limit", [1, 7, 99, 100, 500])
    @pytest.mark.parametrize("how", ["as folded", "in one millisecond", "in three milliseconds"])
    def test_pages_hold_every_order_once(
        self, receiver: Receiver, store: Store, server: Server, how: str, limit: int
    ) -> None:
        count = 40 if limit == 1 else 230
        references = [f"R/{n} ä" for n in range(count)]
        body = canonical.dumps(event())
        usable = [Usable("orderStatus", "orderStatus:os_1", "order-1", r, {}, b"", b"") for r in references]
        made = []
        for each in usable:
            text = body.replace(b"REF-1", each.reference.encode())
            made.append(Incoming("default", each._replace(text=text, digest=content_digest(b"W", text)), now_us()))
        store.run(intake.accept(made, cluster=False))
        fold(store)
        index = "gelato:index:{default}"
        if how != "as folded":
            step = 1 if how == "in one millisecond" else 3
            for n, name in enumerate(sorted(server.client.zrange(index, 0, -1))):
                server.client.zadd(index, {name: 1_800_000_000_000 + n % step})
        found = identifiers(receiver, limit=limit)
        assert sorted(found) == sorted(references)
        assert sorted(identifiers(receiver, limit=limit, status="passed")) == sorted(references)
        assert identifiers(receiver, limit=limit, status="shipped") == []

    def test_a_change_between_two_pages_hides_no_order(self, receiver: Receiver, store: Store) -> None:
        for n in range(10):
            receiver.post(event(f"R-{n}"))
        fold(store)
        first = receiver.get("/orders", params={"limit": 4}).json()
        receiver.post(event("R-new"))
        moved = first["orders"][0]["orderReferenceId"]
        receiver.post(event(moved, id="os_2", fulfillmentStatus="shipped"))
        fold(store)
        rest = receiver.get("/orders", params={"limit": 500, "cursor": first["cursor"]}).json()
        seen = [summary["orderReferenceId"] for page in (first, rest) for summary in page["orders"]]
        assert {f"R-{n}" for n in range(10)} <= set(seen)

    def test_each_filter(self, receiver: Receiver, store: Store) -> None:
        receiver.post(event("done", fulfillmentStatus="delivered"))
        receiver.post(event("held", fulfillmentStatus="on_hold"))
        receiver.post(event("going", fulfillmentStatus="printed", connectedOrderIds=["order-1", "order-2"]))
        receiver.post(event("whole", fulfillmentStatus="printed", connectedOrderIds=[]))
        fold(store)

        def found(**query: Any) -> list[str]:
            return sorted(identifiers(receiver, **query))

        assert found(status="delivered") == ["done"]
        assert found(status="printed") == ["whole"]
        assert found(status="created") == ["going"], "its silent sibling is created"
        assert found(terminal="true") == ["done"]
        assert found(terminal="false") == ["going", "held", "whole"]
        assert found(complete="true") == ["whole"]
        assert found(complete="false") == ["going"]
        assert found(attention="true") == ["held"]
        assert found(attention="false") == ["done", "going", "whole"]
        assert found(terminal="false", attention="false", complete="true") == ["whole"]

    def test_updated_since(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(event("old"))
        receiver.post(event("new"))
        fold(store)
        now = datetime.now(UTC)
        server.client.zadd("gelato:index:{default}", {"old": (now - timedelta(hours=1)).timestamp() * 1000 // 1})
        for since in (now - timedelta(minutes=30), (now - timedelta(minutes=30)).replace(tzinfo=None)):
            assert identifiers(receiver, updatedSince=since.isoformat()) == ["new"]
        assert identifiers(receiver, updatedSince=(now - timedelta(hours=2)).isoformat()) == ["new", "old"]
        assert identifiers(receiver, updatedSince=(now + timedelta(hours=1)).isoformat()) == []
        offset = (now - timedelta(minutes=30)).isoformat()
        unescaped = raw_get(receiver, f"/orders?updatedSince={offset}")  # its + arrives as a blank
        assert [summary["orderReferenceId"] for summary in unescaped.json()["orders"]] == ["new"]
        shown = receiver.get("/orders/new").json()["updatedAt"]
        assert "new" in identifiers(receiver, updatedSince=shown)

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=501",
            "limit=x",
            "limit=-1",
            "limit=",
            "limit=1.5",
            "limit=00000019999",
            "terminal=maybe",
            "complete=",
            "attention=2",
            "updatedSince=yesterday",
            "updatedSince=",
            "cursor=nonsense",
            "cursor=",
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(self, receiver: Receiver, query: str) -> None:
        answer = raw_get(receiver, f"/orders?{query}")
        assert answer.status_code == 400
        assert query.partition("=")[0] in answer.json()["detail"]

    def test_an_order_that_is_gone_is_not_listed(self, receiver: Receiver, store: Store, server: Server) -> None:
        receiver.post(event("gone"))
        receiver.post(event("here"))
        fold(store)
        server.client.delete(*(f"gelato:{key}:{{default/gone}}" for key in ("order", "state", "log", "meta")))
        assert identifiers(receiver) == ["here"]

    def test_a_tenants_list_is_that_tenants(self, receiver: Receiver, store: Store) -> None:
        receiver.post(event("OURS"))
        receiver.post(event("THEIRS"), tenant="acme", secret="acmes-secret")
        fold(store)
        for token, path, wanted in (
            (OPS_TOKEN, "/orders", "OURS"),
            (READ_TOKEN, "/orders", "OURS"),
            ("acme-reads", "/tenants/acme/orders", "THEIRS"),
            (OPS_TOKEN, "/tenants/acme/orders", "THEIRS"),
        ):
            assert [each["orderReferenceId"] for each in receiver.get(path, token).json()["orders"]] == [wanted]


class TestTheEvents:
    def test_they_are_exact(self, receiver: Receiver, store: Store) -> None:
        big = 123456789012345678901234567890
        sent = {
            **event(),
            "big": big,
            "negative": -big,
            "edge": [2**63, 2**64 - 1, 2**64],
            "text": '🥨 \u202e \x00 " \\ /',
            "deep": {"z": [1, {"y": None}], "a": True},
        }
        before = now_us()
        body = json.dumps(sent).encode()
        assert receiver.post(body).status_code == 200
        after = now_us()
        for _ in range(2):
            answer = receiver.get("/orders/REF-1/events")
            content = json.loads(answer.content)
            assert (content["tenant"], content["orderReferenceId"]) == ("default", "REF-1")
            (entry,) = content["events"]
            assert entry["event"] == sent
            assert entry["identity"] == "orderStatus:os_1"
            assert entry["orderId"] == "order-1"
            assert len(entry["receivedAt"]) == len("2026-11-22T08:00:00.123456Z")
            assert before <= in_us(entry["receivedAt"]) <= after
            assert entry["at"].endswith("Z")
            fold(store)

    def test_they_come_by_time_of_receipt(self, receiver: Receiver) -> None:
        for n in range(5):
            receiver.post(event(id=f"os_{n}"))
        answer = receiver.get("/orders/REF-1/events").json()
        assert [entry["identity"] for entry in answer["events"]] == [f"orderStatus:os_{n}" for n in range(5)]
        times = [entry["receivedAt"] for entry in answer["events"]]
        assert times == sorted(times)

    def test_they_come_in_pages_whatever_comes_meanwhile(self, receiver: Receiver, store: Store) -> None:
        received = now_us()
        # Three of one microsecond stand across the end of a page.
        for n, moment in enumerate((1, 2, 2, 2, 3, 4, 5)):
            usable = read_webhook(orjson.dumps(event(id=f"os_{n}")))
            assert isinstance(usable, Usable)
            store.run(intake.accept([Incoming("default", usable, received + moment)], cluster=False))
        seen: list[str] = []
        cursor = ""
        while True:
            page = receiver.get(f"/orders/REF-1/events?limit=2{cursor}").json()
            seen += [entry["identity"] for entry in page["events"]]
            if page["cursor"] is None:
                break
            assert len(page["events"]) == 2
            cursor = f"&cursor={page['cursor']}"
        assert seen == [f"orderStatus:os_{n}" for n in range(7)]
        assert receiver.get("/orders/REF-1/events").json()["cursor"] is None

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=WzEsMl0", "cursor=bnVsbA"]
    )
    def test_a_page_that_makes_no_sense_is_refused(self, receiver: Receiver, query: str) -> None:
        receiver.post(event())
        answer = receiver.get(f"/orders/REF-1/events?{query}")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid-query")

    def test_each_says_what_it_changed(self, receiver: Receiver) -> None:
        receiver.post(event(created="2026-11-22T08:00:00Z"))
        receiver.post(event(id="os_2", fulfillmentStatus="shipped", created="2026-11-22T09:00:00Z"))
        first, second = receiver.get("/orders/REF-1/events").json()["events"]
        assert {"path": ["status"], "from": None, "to": "passed"} in first["changed"]
        assert {"path": ["orders", "order-1", "status"], "from": "passed", "to": "shipped"} in second["changed"]

    def test_a_duplicate_is_not_among_them_and_a_collision_is(self, receiver: Receiver) -> None:
        for status in ("passed", "passed", "shipped", "passed"):
            receiver.post(event(fulfillmentStatus=status))
        assert len(receiver.get("/orders/REF-1/events").json()["events"]) == 2

    def test_a_parked_event_is_marked(self, receiver: Receiver, store: Store) -> None:
        receiver.post(event())
        text = canonical.dumps(event(id="os_2", fulfillmentStatus=5))  # as a version stored it that could use it
        poison = Usable("orderStatus", "orderStatus:os_2", "order-1", "REF-1", {}, text, content_digest(b"W", text))
        store.run(intake.accept([Incoming("default", poison, now_us())], cluster=False))
        fold(store, Settings(fold_tries=1))
        answer = receiver.get("/orders/REF-1/events").json()
        assert [entry.get("parked", False) for entry in answer["events"]] == [False, True]
        assert answer["events"][1]["event"] == orjson.loads(text)
        assert "fulfillmentStatus" in answer["events"][1]["error"]
        assert receiver.get("/orders/REF-1").json()["events"] == 1

    def test_a_snapshot_is_among_them(self, receiver: Receiver) -> None:
        snapshot = {"id": "order-1", "orderReferenceId": "REF-1", "fulfillmentStatus": "passed", "price": 5}
        token = {"Authorization": f"Bearer {OPS_TOKEN}"}
        receiver.client.post("/snapshots", json=snapshot, headers=token)
        (entry,) = receiver.get("/orders/REF-1/events").json()["events"]
        assert entry["identity"] == "snapshot:order-1:"
        assert "price" not in entry["event"]

    def test_of_an_unknown_order(self, receiver: Receiver) -> None:
        answer = receiver.get("/orders/none/events")
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)


ORDER_ROUTES = ["/orders/{}", "/orders/{}/events", "/orders?reference={}"]
TENANT_ROUTES = ["/tenants/acme" + route for route in ORDER_ROUTES]


class TestTokens:
    @pytest.fixture(autouse=True)
    def orders(self, receiver: Receiver, store: Store) -> None:
        receiver.post(event("SHARED"))
        receiver.post(event("OURS"))
        receiver.post(event("SHARED", fulfillmentStatus="shipped"), tenant="acme", secret="acmes-secret")
        receiver.post(event("THEIRS"), tenant="acme", secret="acmes-secret")
        fold(store)

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer unknown"},
            {"Authorization": READ_TOKEN},
            {"Authorization": f"Basic {READ_TOKEN}"},
            {"Authorization": f"Bearer {SECRET}"},
            {"Authorization": f"Bearer {READ_TOKEN}x"},
            {"X-Webhook-Secret": SECRET},
        ],
    )
    @pytest.mark.parametrize(
        "path",
        [
            "/orders",
            "/orders/OURS",
            "/orders/none",
            "/orders/OURS/events",
            "/tenants/acme/orders",
            "/tenants/acme/orders/THEIRS",
            "/tenants/acme/orders/THEIRS/events",
            "/tenants/nobody/orders",
            "/tenants/nobody/orders/x",
        ],
    )
    def test_without_a_known_one_nothing_is_read(self, receiver: Receiver, path: str, headers: dict[str, str]) -> None:
        answer = receiver.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
        assert answer.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("token", [READ_TOKEN, TENANT_TOKEN, OPS_TOKEN])
    @pytest.mark.parametrize("route", ORDER_ROUTES)
    def test_ones_own_orders_can_be_read(self, receiver: Receiver, route: str, token: str) -> None:
        assert receiver.get(route.format("OURS"), token).status_code == 200
        assert receiver.get("/tenants/default" + route.format("OURS"), token).status_code == 200

    @pytest.mark.parametrize("token", ["acme-reads", "acme-posts", OPS_TOKEN])
    @pytest.mark.parametrize("route", TENANT_ROUTES)
    def test_so_can_those_of_a_named_tenant(self, receiver: Receiver, route: str, token: str) -> None:
        assert receiver.get(route.format("THEIRS"), token).status_code == 200

    @pytest.mark.parametrize("token", [READ_TOKEN, TENANT_TOKEN])
    @pytest.mark.parametrize("route", TENANT_ROUTES)
    def test_another_tenants_order_is_as_one_that_does_not_exist(
        self, receiver: Receiver, route: str, token: str
    ) -> None:
        never = receiver.get(route.replace("/tenants/acme", "").format("NEVER"), token)
        answers = [receiver.get(route.format(name), token) for name in ("THEIRS", "SHARED", "NEVER")]
        answers.append(receiver.get(route.replace("acme", "nobody").format("THEIRS"), token))
        for answer in answers:
            assert (answer.status_code, answer.content) == (404, never.content)
            assert sorted(answer.headers) == sorted(never.headers)

    @pytest.mark.parametrize("token", ["acme-reads", "acme-posts"])
    @pytest.mark.parametrize("route", ORDER_ROUTES)
    def test_the_default_tenant_is_another_tenant_too(self, receiver: Receiver, route: str, token: str) -> None:
        for name in ("OURS", "SHARED", "NEVER"):
            answer = receiver.get(route.format(name), token)
            assert (answer.status_code, answer.json()) == (404, UNKNOWN)

    def test_another_tenants_list_is_not_there(self, receiver: Receiver) -> None:
        other = receiver.get("/tenants/acme/orders", READ_TOKEN)
        nobody = receiver.get("/tenants/nobody/orders", READ_TOKEN)
        assert (other.status_code, other.content) == (404, nobody.content)

    def test_both_tenants_see_their_own_order_of_one_reference(self, receiver: Receiver) -> None:
        assert receiver.get("/orders/SHARED", READ_TOKEN).json()["status"] == "passed"
        assert receiver.get("/tenants/acme/orders/SHARED", "acme-reads").json()["status"] == "shipped"

    def test_a_known_token_that_is_not_allowed_is_told_so(self, receiver: Receiver) -> None:
        for path, token in (("/snapshots", READ_TOKEN), ("/tenants/acme/snapshots", "acme-reads")):
            answer = receiver.client.post(path, content=b"{}", headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json()) == (403, {"error": "forbidden"})

    def test_tokens_are_not_logged(self, receiver: Receiver) -> None:
        for token in (READ_TOKEN, TENANT_TOKEN, OPS_TOKEN, "a-wrong-token-9a7c"):
            receiver.get("/orders", token)
        said = receiver.log.read_bytes()
        for text in (READ_TOKEN, TENANT_TOKEN, OPS_TOKEN, "a-wrong-token-9a7c", "acme-reads"):
            assert text.encode() not in said


class TestOtherPaths:
    @pytest.mark.parametrize(
        "path",
        ["/", "/nowhere", "/orders/", "/orders/a/b/c", "/orders/a/events/", "/tenants", "/tenants/default", "//"],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_unknown_ones_are_not_found_in_json(self, receiver: Receiver, method: str, path: str) -> None:
        url = httpx.URL(receiver.base).copy_with(raw_path=path.encode())
        answer = receiver.client.request(method, url)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize("path", ["/orders", "/orders/x", "/orders/x/events", "/healthz"])
    def test_other_methods_are_refused_in_json(self, receiver: Receiver, method: str, path: str) -> None:
        answer = receiver.client.request(method, path, headers={"Authorization": f"Bearer {OPS_TOKEN}"})
        assert answer.status_code == 405
        assert "GET" in answer.headers["allow"]
        assert answer.json() == {"error": "method-not-allowed"}


def now_us() -> int:
    return time.time_ns() // 1000


def in_us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
