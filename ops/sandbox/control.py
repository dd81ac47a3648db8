"""The routes by which a person or a test asks the sandbox about its state, and tells it what to do.

`GET /sandbox/truth?tenant=&reference=`: `{"ended", "orders": [...]}`, each order what its rollup must show
(`ops.simulator.truth.state_view`; hold a document against it with `ops.simulator.compare.compare_state`), with `tenant`,
`ended` (its story is over and all is said) and `troubles`. `GET /sandbox/counts`. `POST /sandbox/orders`
`{"count", "tenant", "trouble"}`: orders of its own making. `POST /sandbox/break` `{"mode", "status", "share", "calls",
"retryAfter"}` and `/sandbox/mend`. `POST /sandbox/lose` `{"share"}`. `POST /sandbox/pause`, `/sandbox/resume`,
`/sandbox/advance` `{"seconds"}` (of the story). `GET /`: a page for people.
"""

import html
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ops.sandbox.api import Api
from ops.sandbox.bodies import made_up
from ops.sandbox.gelato import Gelato
from ops.sandbox.limits import CALLS, MODES
from ops.sandbox.story import NO_TROUBLE, TROUBLES
from receiver.http import Json

_SHOWN = 50
_MOST_AT_ONCE = 10_000


class Control:
    """The routes."""

    def __init__(self, gelato: Gelato, api: Api) -> None:
        self._gelato, self._api = gelato, api
        self._made = 0

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", self._page, methods=["GET"]),
            Route("/sandbox/truth", self._truth, methods=["GET"]),
            Route("/sandbox/counts", self._counts, methods=["GET"]),
            Route("/sandbox/{order}", self._told, methods=["POST"]),
        ]

    def counts(self) -> dict[str, Any]:
        """Webhooks made, lost and delivered, what receivers answered, API calls by kind and by outcome."""
        gelato = self._gelato
        webhooks = {name: gelato.counts[name] for name in ("made", "lost", "heldBack", "duplicates")}
        return {
            "orders": len(gelato.book.orders),
            "connectedOrders": sum(1 for _ in gelato.book.newest_first()),
            "ended": gelato.ended(),
            "webhooks": {**webhooks, **gelato.mail.counts()},
            "answers": gelato.mail.answers(),
            "calls": {call: self._api.calls[call] for call in CALLS},
            "outcomes": dict(sorted(self._api.outcomes.items())),
        }

    async def _truth(self, request: Request) -> Json:
        query = request.query_params
        orders = self._gelato.book.truths(query.get("tenant"), query.get("reference"))
        return Json({"ended": self._gelato.ended(), "orders": orders})

    async def _counts(self, _: Request) -> Json:
        return Json(self.counts())

    async def _told(self, request: Request) -> Json:
        acts = {
            "orders": self._orders,
            "break": self._break,
            "mend": self._mend,
            "lose": self._lose,
            "pause": self._pause,
            "resume": self._resume,
            "advance": self._advance,
        }
        act = acts.get(request.path_params["order"])
        if act is None:
            return Json({"error": "not-found"}, 404)
        try:
            body = orjson.loads(await request.body() or b"{}")
            return Json(act(body))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return Json({"error": "invalid", "detail": str(error)}, 400)

    def _orders(self, body: dict[str, Any]) -> dict[str, Any]:
        customers = {customer.tenant: customer for customer in self._gelato.options.customers}
        customer = customers[body["tenant"]] if "tenant" in body else self._gelato.options.customers[0]
        trouble = body.get("trouble")
        if trouble not in (None, NO_TROUBLE, *TROUBLES):
            raise ValueError(f"trouble: must be one of {', '.join(TROUBLES)}")
        count = int(body.get("count", 1))
        if not 0 < count <= _MOST_AT_ONCE:
            raise ValueError(f"count: must be from 1 to {_MOST_AT_ONCE}")
        made = []
        for _ in range(count):
            order = made_up(self._gelato.options.seed, self._made, customer.reference)
            self._made += 1
            self._gelato.submit(customer, order, trouble=trouble)
            made.append(order["orderReferenceId"])
        return {"tenant": customer.tenant, "orderReferenceIds": made}

    def _break(self, body: dict[str, Any]) -> dict[str, Any]:
        mode, calls = str(body["mode"]), frozenset(body.get("calls", CALLS))
        if mode not in MODES or calls - set(CALLS):
            raise ValueError(f"mode: one of {', '.join(MODES)}; calls: of {', '.join(CALLS)}")
        status, share, wait = int(body.get("status", 503)), float(body.get("share", 1)), body.get("retryAfter")
        if not 400 <= status <= 599:
            raise ValueError("status: must be from 400 to 599")
        self._api.breakage.break_(mode, status=status, share=share, calls=calls, retry_after=wait and float(wait))
        return {"broken": mode}

    def _mend(self, _: dict[str, Any]) -> dict[str, Any]:
        self._api.breakage.mend()
        return {"broken": None}

    def _lose(self, body: dict[str, Any]) -> dict[str, Any]:
        share = float(body["share"])
        if not 0 <= share <= 1:
            raise ValueError("share: must be from 0 to 1")
        self._gelato.lose = share
        return {"lose": share}

    def _pause(self, _: dict[str, Any]) -> dict[str, Any]:
        self._gelato.clock.pause()
        self._gelato.changed()
        return {"paused": True}

    def _resume(self, _: dict[str, Any]) -> dict[str, Any]:
        self._gelato.clock.resume()
        self._gelato.changed()
        return {"paused": False}

    def _advance(self, body: dict[str, Any]) -> dict[str, Any]:
        seconds = float(body["seconds"])
        if not 0 <= seconds <= 1e9:
            raise ValueError("seconds: cannot be negative")
        self._gelato.clock.advance(seconds)
        self._gelato.changed()
        return {"advanced": seconds}

    async def _page(self, _: Request) -> HTMLResponse:
        parts = [part for part, _ in zip(self._gelato.book.newest_first(), range(_SHOWN), strict=False)]
        rows = "".join(
            f"<tr><td>{html.escape(part.order.customer.tenant)}<td>{html.escape(str(part.order.reference))}"
            f"<td>{part.id}<td>{part.moment.reported}<td>"
            + html.escape(", ".join(f"{item}: {status}" for item, status in part.moment.statuses.items()))
            for part in parts
        )
        counts = html.escape(orjson.dumps(self.counts(), option=orjson.OPT_INDENT_2).decode())
        return HTMLResponse(
            "<!doctype html><meta charset=utf-8><title>Sandbox</title><style>body{font:14px sans-serif;margin:2em}"
            "td,th{text-align:left;padding:.2em 1em .2em 0}</style><h1>A sandbox that plays Gelato</h1>"
            f"<table><tr><th>tenant<th>order<th>connected order<th>status<th>items{rows}</table><pre>{counts}</pre>"
        )
