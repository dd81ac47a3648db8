"""An order API to ask: a real HTTP server on loopback, with orders, customers, and faults on demand.

It speaks both ways: `/v4/orders...` as Gelato's order API, `/connector/...` as a GelatoConnect connector. Its answers are
full of personal data, as Gelato's are. It is `lenient`: it answers for any order, whatever customer is asked for, so that
only the service in between can keep customers apart.
"""

import contextlib
import copy
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import orjson

from shared.clock import parse_time

KEY = "a-key-for-tests:a-secret-half"
#: Each answer holds these; nothing of the service may.
PERSONAL = {
    "firstName": "Personal-Paul",
    "lastName": "Personal-Smith",
    "companyName": "Personal-Company",
    "addressLine1": "451 Personal Avenue",
    "city": "Personal-Town",
    "postCode": "PC-11203",
    "email": "personal@example.org",
    "phone": "+1-555-0199-777",
}


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of, or before, its answer."""

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b'{"message":"as asked for"}'
    content_type: str = "application/json"
    #: Wait so long; `then_taken`: and carry it out all the same.
    delay: float = 0.0
    #: Close the connection without an answer; `after`: once it was carried out.
    reset: bool = False
    after: bool = False


def _placed_between(order: dict[str, Any], query: dict[str, Any]) -> bool:
    placed, first, last = (
        parse_time(each) for each in (order["createdAt"], query.get("startDate"), query.get("endDate"))
    )
    assert placed is not None
    return (first is None or placed >= first) and (last is None or placed <= last)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: With the usual five, connections that come together are reset.
    request_queue_size = 512


class Upstream:
    """The server. `faults` are taken one per request, in order; `fault_for` decides for every request."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.faults: deque[Fault | None] = deque()
        self.fault_for: Callable[[Asked], Fault | None] = lambda _: None
        self.split = 1
        #: A submit is answered with id, reference and time alone, as GelatoConnect's documentation shows it.
        self.short = False
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> "Upstream":
        self._thread.start()
        return self

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def clear(self) -> None:
        """As new; requests that hang are let go."""
        self.released.set()
        self.released = threading.Event()
        self.asked.clear()
        self.orders.clear()
        self.faults.clear()
        self.fault_for = lambda _: None
        self.split = 1
        self.short = False

    def add(self, reference: str, customer: str | None = None, **more: Any) -> dict[str, Any]:
        """Put an order there that nobody submitted through the service."""
        order = {**self._order(reference, customer, [{"itemReferenceId": "mug", "quantity": 1}]), **more}
        self.orders[order["id"]] = order
        return order

    def submits(self) -> list[Asked]:
        return [each for each in self.asked if each.method == "POST" and not each.path.endswith("search")]

    def _order(self, reference: str, customer: str | None, items: list[Any]) -> dict[str, Any]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        return {
            "id": str(uuid.uuid4()),
            "orderType": "order",
            "orderReferenceId": reference,
            "customerReferenceId": customer,
            "fulfillmentStatus": "created",
            "financialStatus": "paid",
            "currency": "USD",
            "channel": "api",
            "storeId": None,
            "createdAt": moment,
            "updatedAt": moment,
            "connectedOrderIds": [],
            "shippingAddress": dict(PERSONAL),
            "items": [
                {
                    "id": str(uuid.uuid4()),
                    "itemReferenceId": item.get("itemReferenceId"),
                    "fulfillmentStatus": "created",
                    "files": [{"url": "https://files.example.org/Personal-Picture.png"}],
                    "price": 5.56,
                }
                for item in items
            ],
            "receipts": [{"recipientName": PERSONAL["lastName"], "total": 8.56}],
        }

    def _submit(self, asked: Asked) -> tuple[int, Any]:
        sent = asked.json()
        customer = asked.headers.get("customer-reference-id") or sent.get("customerReferenceId")
        items = sent.get("items", [])
        if not sent.get("orderReferenceId"):
            return 400, {"code": "invalid_request", "message": "orderReferenceId is missing"}
        hubs = [items[n :: self.split] for n in range(min(self.split, len(items) or 1))]
        made = [self._order(sent["orderReferenceId"], customer, hub) for hub in hubs]
        for order in made:
            order["connectedOrderIds"] = [each["id"] for each in made] if len(made) > 1 else []
            self.orders[order["id"]] = order
        return 201, {name: made[0][name] for name in ("id", "orderReferenceId", "createdAt")} if self.short else made[0]

    def _get(self, name: str) -> tuple[int, Any]:
        for order in self.orders.values():
            if name in (order["id"], order["orderReferenceId"]):
                return 200, order
        return 404, {"code": "not_found", "message": f"Order {name} not found"}

    def _search(self, query: dict[str, Any]) -> tuple[int, Any]:
        references = query.get("orderReferenceIds")
        found = [
            {
                **{
                    name: value for name, value in order.items() if name not in ("items", "shippingAddress", "receipts")
                },
                "firstName": PERSONAL["firstName"],
                "lastName": PERSONAL["lastName"],
            }
            for order in self.orders.values()
            if (references is None or order["orderReferenceId"] in references) and _placed_between(order, query)
        ]
        offset = query.get("offset", 0)
        return 200, {"orders": found[offset : offset + query.get("limit", 50)]}

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.headers.get("x-api-key") != KEY:
            return 401, {"code": "unauthorized", "message": f"unknown key {asked.headers.get('x-api-key')}"}
        path = asked.path.removeprefix("/connector").removeprefix("/v4")
        if asked.method == "GET" and path.startswith("/orders/"):
            return self._get(unquote(path.removeprefix("/orders/")))
        if asked.method == "POST" and path in ("/orders:search", "/search"):
            return self._search(asked.json())
        if asked.method == "POST" and path in ("/orders", "/submit"):
            return self._submit(asked)
        return 404, {"code": "not_found", "message": f"No route found for {asked.method} {asked.path}"}

    def _handler(upstream) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError, TimeoutError):
                    super().handle()

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                upstream.asked.append(asked)
                fault = upstream.faults.popleft() if upstream.faults else upstream.fault_for(asked)
                if fault is None:
                    self._send(*upstream._answer(asked))
                    return
                released = upstream.released
                if fault.delay:
                    released.wait(fault.delay)
                if fault.reset:
                    if fault.after:
                        upstream._answer(asked)
                    self.close_connection = True
                    self.connection.close()
                elif fault.status is None:
                    self._send(*upstream._answer(asked))
                else:
                    self._send(fault.status, fault.body, fault.headers, fault.content_type)

            def _send(
                self, status: int, content: Any, headers: Any = (), content_type: str = "application/json"
            ) -> None:
                body = content if isinstance(content, bytes) else orjson.dumps(copy.deepcopy(content))
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Internal", "what callers need not know")
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        return Handler
