"""One order: where each of its items is, what somebody must do, its parcels, and its raw events in order of time."""

from typing import Any, Final, NamedTuple

import orjson
from starlette.responses import RedirectResponse, Response

from receiver.console.drawing import Drawing, Track, draw, lines_of, track
from receiver.console.effects import Told, told
from receiver.console.rendering import beside
from receiver.console.texts import link
from receiver.console.visit import HOME, Problem, Visit, logger
from shared.history import explained
from shared.schema import Document, LineDocument, Package
from shared.store import orders, reconciling
from shared.store.records import Record

#: What a page shows of a large order; the rest is on the pages behind it.
LINES: Final = 100
EVENTS: Final = 50
_MOST_TEXT: Final = 100_000


class Event(NamedTuple):
    """One event as the page tells of it."""

    number: int
    entry: dict[str, Any]
    kind: str
    item: str | None
    status: str | None
    text: str
    #: What it changed; None where that would cost too much to find out.
    changes: list[Told] | None


class Part(NamedTuple):
    """One page of something long: pages count from 1."""

    number: int
    pages: int
    total: int

    def slice(self, size: int) -> slice:
        """What of it is on this page."""
        return slice((self.number - 1) * size, self.number * size)


class Drawn(NamedTuple):
    """All that the page shows."""

    document: Document | None
    drawing: Drawing | None
    lines: list[tuple[str, str, LineDocument, Track]]
    lines_part: Part
    packages: list[Package]
    events: list[Event]
    events_part: Part
    raw: str


async def show(visit: Visit) -> Response:
    """`GET /console/order?tenant=&reference=`, with `lines` and `events`: pages of what is long."""
    reference = visit.query.get("reference", "")
    raw: bytes | None = await visit.ask(orders.document(visit.tenant, reference))
    log: list[Record] = await visit.ask(orders.log(visit.tenant, reference))
    if raw is None and not log:
        raise Problem(404, "No such order", "It may have been erased, or its retention has ended. Search for it above.")
    entries = await beside(explained, visit.tenant, reference, log)
    drawn = await beside(_prepare, raw, entries, _number(visit, "lines"), _number(visit, "events"))
    return await visit.page(
        "order.html", reference=reference, drawn=drawn, has_api=_has_api(visit), asked="asked" in visit.query
    )


async def reconcile(visit: Visit) -> Response:
    """`POST /console/order/reconcile?tenant=&reference=`: have the order API asked about an order soon.

    The reference is in the URL: a browser changes line breaks and NULs in a form's fields.
    """
    reference = visit.query.get("reference", "")
    if not _has_api(visit):
        raise Problem(409, "Nobody to ask", "This tenant has no order API: see GELATO_API_KEY and GELATO_TENANTS_FILE.")
    if await visit.ask(orders.document(visit.tenant, reference)) is None:
        raise Problem(404, "No such order", "It may have been erased, or its retention has ended.")
    if await visit.ask(reconciling.want(visit.tenant, [reference])) is None:
        raise Problem(503, "Too many orders wait", "Reconciliation has enough to ask about; try again in a while.")
    logger.info("reconciliation asked for", who=visit.who, tenant=visit.tenant, order=reference)
    here = link(f"{HOME}/order", tenant=visit.chosen_tenant, reference=reference, asked="yes")
    return RedirectResponse(here, 303)


def _has_api(visit: Visit) -> bool:
    return visit.service.access.tenants.by_name[visit.tenant].api.key is not None


def _prepare(
    raw: bytes | None, entries: list[dict[str, Any]], lines_page: int | None, events_page: int | None
) -> Drawn:
    document: Document | None = None if raw is None else orjson.loads(raw)
    lines = [] if document is None else list(lines_of(document))
    lines_part = _part(lines_page, len(lines), LINES, last=False)
    events_part = _part(events_page, len(entries), EVENTS, last=True)
    shown = entries[events_part.slice(EVENTS)]
    first = events_part.slice(EVENTS).start + 1
    return Drawn(
        document=document,
        drawing=None if document is None else draw(document),
        lines=[(*line, track(line[2])) for line in lines[lines_part.slice(LINES)]],
        lines_part=lines_part,
        packages=[] if document is None else document["packages"][:LINES],
        events=[_event(first + n, entry) for n, entry in enumerate(shown)],
        events_part=events_part,
        raw="" if raw is None else pretty(raw),
    )


def _event(number: int, entry: dict[str, Any]) -> Event:
    raw = entry.get("event", b"")
    said: Any = {}
    if raw:
        said = orjson.loads(raw) if len(raw) <= _MOST_TEXT else {}
    said = said if isinstance(said, dict) else {}
    kind = (entry["identity"] or entry["cameAs"]).partition(":")[0]
    status = said.get("fulfillmentStatus") or said.get("status")
    item = said.get("itemReferenceId")
    return Event(
        number,
        entry,
        kind,
        None if item is None else str(item),
        status if isinstance(status, str) else None,
        pretty(raw),
        None if entry["changed"] is None else [told(effect) for effect in entry["changed"]],
    )


def pretty(raw: bytes) -> str:
    """JSON with line breaks, cut off where it is very long; what is not JSON as it is."""
    try:
        text = orjson.dumps(orjson.loads(raw), option=orjson.OPT_INDENT_2).decode()
    except ValueError:
        text = raw.decode(errors="replace")
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "\n… cut off here"


def _part(wanted: int | None, total: int, size: int, *, last: bool) -> Part:
    pages = max(1, -(-total // size))
    number = (pages if last else 1) if wanted is None else wanted
    return Part(min(max(1, number), pages), pages, total)


def _number(visit: Visit, name: str) -> int | None:
    text = visit.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
