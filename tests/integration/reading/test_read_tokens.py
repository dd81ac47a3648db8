"""Who may read what: tokens of tenants, and what those of others are told."""

import pytest
from support.events import order_status
from support.orders import fold
from support.processes import OPS_TOKEN, READ_TOKEN, SECRET, TENANT_TOKEN, Receiver

from shared.store import Store

UNKNOWN = {"error": "unknown-order"}
ORDER_ROUTES = ["/orders/{}", "/orders/{}/events", "/orders?reference={}", "/orders/events?reference={}"]
TENANT_ROUTES = ["/tenants/acme" + route for route in ORDER_ROUTES]


class TestTokens:
    @pytest.fixture(autouse=True)
    def orders(self, receiver: Receiver, store: Store) -> None:
        receiver.post(order_status(orderReferenceId="SHARED"))
        receiver.post(order_status(orderReferenceId="OURS"))
        receiver.post(
            order_status(orderReferenceId="SHARED", fulfillmentStatus="shipped"), tenant="acme", secret="acmes-secret"
        )
        receiver.post(order_status(orderReferenceId="THEIRS"), tenant="acme", secret="acmes-secret")
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
