"""The orders of a tenant: searched, or filtered by what is the matter with them, page by page."""

import time
from typing import Final, NamedTuple

import orjson
from starlette.responses import Response

from receiver.console.cursors import read_cursor, write_cursor
from receiver.console.drawing import lines_of
from receiver.console.visit import Visit
from receiver.console.vitals import idle_before
from shared.schema import Attention, Document
from shared.store import orders, search
from shared.store.calls import Operation
from shared.store.listing import Listed
from shared.store.search import Flag

_PER_PAGE: Final = 50
_MOST_FOUND: Final = 50
#: The filters: title, and what a page without any order of it says.
FILTERS: Final = {
    "": ("All", "No orders yet", "They appear with their first webhook."),
    "attention": (
        "Attention",
        "Nobody has to act",
        "Orders appear here while a line is failed, on hold, or waits for somebody.",
    ),
    "incomplete": (
        "Incomplete",
        "No order is incomplete",
        "Orders appear here while a connected order that was named has not been heard of.",
    ),
    "disagrees": (
        "Disagrees",
        "No order disagrees",
        "Orders appear here when Gelato reported them final while their lines say otherwise.",
    ),
    "stuck": (
        "Stuck",
        "No order is stuck",
        "Open orders appear here when nothing was heard of them for GELATO_STUCK_DAYS days.",
    ),
}
_FLAGS: Final = {"attention": Flag.ATTENTION, "incomplete": Flag.INCOMPLETE, "disagrees": Flag.DISAGREES}


class Row(NamedTuple):
    """One order of a list, how many lines it has, and the first lines for which somebody must act."""

    document: Document
    lines: int
    why: list[Attention]


async def listed(visit: Visit) -> Response:
    """`GET /console/orders`, with `q` (search), `show` (a filter) and `after` (a page)."""
    text = visit.query.get("q", "").strip()
    if text:
        references = await visit.ask(search.find(visit.tenant, text, _MOST_FOUND))
        found = await _read(visit, references)
        return await visit.page("search.html", text=text, rows=found, most=_MOST_FOUND, scanned=search.SCANNED)
    chosen = visit.query.get("show", "")
    chosen = chosen if chosen in FILTERS else ""
    after = read_cursor(visit.query.get("after"))
    now = time.time()
    counts = await visit.ask(search.counts(visit.tenant, idle_before(visit, now)))
    page: list[Listed] = await visit.ask(_page(visit, chosen, after, now))
    return await visit.page(
        "orders.html",
        rows=await _read(visit, [each.reference for each in page]),
        chosen=chosen,
        filters=FILTERS,
        numbers={
            "": counts.orders,
            "attention": counts.attention,
            "incomplete": counts.incomplete,
            "disagrees": counts.disagrees,
            "stuck": counts.idle,
        },
        older=write_cursor(page[-1]) if len(page) == _PER_PAGE else None,
        paged=after is not None,
    )


async def rows(visit: Visit, operation: Operation[list[Listed]]) -> list[Row]:
    """The rows of some orders of an index."""
    return await _read(visit, [each.reference for each in await visit.ask(operation)])


def _page(visit: Visit, chosen: str, after: Listed | None, now: float) -> Operation[list[Listed]]:
    tenant = visit.tenant
    if chosen == "stuck":
        return search.idle(tenant, idle_before(visit, now), after, _PER_PAGE)
    if chosen in _FLAGS:
        return search.flagged(tenant, _FLAGS[chosen], after, _PER_PAGE)
    return orders.newest(tenant, after, _PER_PAGE)


async def _read(visit: Visit, references: list[str]) -> list[Row]:
    documents = await visit.ask(orders.documents(visit.tenant, references)) if references else []
    return [_row(orjson.loads(raw)) for raw in documents if raw is not None]


def _row(document: Document) -> Row:
    return Row(document, sum(1 for _ in lines_of(document)) or len(document["orders"]), document["attention"][:3])
