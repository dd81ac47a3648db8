"""What the summary of a search shows that a document lacks: decides whether a whole answer is asked for. Pure.

A search tells of a hundred connected orders at once, and of each only its status, its siblings, and when it changed last. A
`get` tells all, of one. So a `get` is worth it only where the summary shows that there is something to learn.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from shared import statuses
from shared.clock import SECOND, parse_time
from shared.events import Usable, content_digest
from shared.schema import ConnectedDocument, Document
from shared.snapshots import source
from shared.store.records import Record

#: `lacks` says so where an item may have more parcels than the document knows of: of the order statuses since the first
#: parcel, each of which lists them all, one was missed. The order's log knows better (`lists_items`).
IN_DOUBT: Final = "a step was missed"
_DIGEST: Final = 16
#: From the first of these on an item is in a parcel.
_ON_ITS_WAY: Final = ("shipped", "in_transit", "delivered", "returned")


def lacks(document: Document | None, summary: Usable, digests: bytes) -> str | None:
    """Why a connected order is to be asked for, in a word or two; None where the document has what there is.

    `digests`: of the contents that came in under the summary's identity (its id and `updatedAt`), as the intake knows them.
    """
    connected = None if document is None else document["orders"].get(summary.order_id)
    in_full = _seen_in_full(summary, digests)
    if connected is None or connected["silent"]:
        return None if in_full else "never heard of"  # it came in, and waits to be folded
    status = statuses.normalise(summary.content["fulfillmentStatus"])
    if in_full:
        # All that there was at that `updatedAt`, which has whole seconds: the next change may have come within the same.
        return "status" if status not in (connected["reportedStatus"], connected["status"]) else None
    if not connected["items"]:
        return "no items"
    if status != connected["status"]:
        return "status"
    updated = parse_time(summary.content.get("updatedAt"))
    if updated is not None and updated // SECOND * SECOND > _newest(connected):
        return "changed since"
    if any(line["status"] in _ON_ITS_WAY and not line["fulfillments"] for line in connected["items"].values()):
        return "no parcel"
    if status in _ON_ITS_WAY and not set(_ON_ITS_WAY[: _ON_ITS_WAY.index(status) + 1]) <= connected["timeline"].keys():
        return IN_DOUBT
    return None


def lists_items(log: Iterable[Record], order_id: str, status: str) -> bool:
    """Whether an event of an order's log lists the items, and so the parcels, of a connected order at a status."""
    for record in log:
        if not record.is_event or b'"items"' not in record.text:
            continue
        said = orjson.loads(record.text)
        same = str(said.get("orderId") or said.get("id")) == order_id
        if same and said.get("items") and statuses.normalise(str(said.get("fulfillmentStatus"))) == status:
            return True
    return False


def siblings(summary: Usable) -> list[str]:
    """The connected orders that a summary names."""
    named = summary.content.get("connectedOrderIds")
    return [str(each) for each in named] if isinstance(named, list) else []


def heard_of(document: Document | None) -> set[str]:
    """The connected orders that a document has heard of, and not only by name."""
    return set() if document is None else {each for each, found in document["orders"].items() if not found["silent"]}


def tells_of_siblings(document: Document, summary: Usable) -> bool:
    """Whether a summary, as it is, tells the document something about how many connected orders there are."""
    if not isinstance(summary.content.get("connectedOrderIds"), list):
        return False
    return document["complete"] is None or not set(siblings(summary)) <= set(document["connectedOrderIds"])


def differ(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Whether two documents say different things of their order, whatever their versions and counts of events."""
    return _said(before) != _said(after)


_BOOKKEEPING: Final = frozenset({"version", "events", "firstEventAt", "lastEventAt", "updatedAt", "closedAt"})


def _said(document: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if document is None else {name: value for name, value in document.items() if name not in _BOOKKEEPING}


def _seen_in_full(summary: Usable, digests: bytes) -> bool:
    """Whether another content came in under the summary's identity than the summary itself, so one that lists items."""
    summaries = {content_digest(source(fetched), summary.text) for fetched in (True, False)}
    return any(digests[at : at + _DIGEST] not in summaries for at in range(0, len(digests), _DIGEST))


def _newest(connected: ConnectedDocument) -> int:
    """When the latest status that the document knows of was reached, microseconds."""
    timelines: Iterable[dict[str, str]] = (
        connected["timeline"],
        *(line["timeline"] for line in connected["items"].values()),
    )
    return max((parse_time(at) or 0 for timeline in timelines for at in timeline.values()), default=0)
