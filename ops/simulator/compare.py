"""Compares rollup documents with the truth, and waits (bounded) until they agree."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ops.simulator.errors import SimulatorError
from ops.simulator.truth import ATTENTION, OrderTruth, View, attention_key, expected_view, reduce_to_state

ReadDocuments = Callable[[Sequence[str]], Awaitable[Mapping[str, dict[str, Any] | None]]]
"""Reads the documents of some references; None for one that does not exist. Raises SimulatorError."""
_BATCH = 200
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0


@dataclass(frozen=True)
class Difference:
    """One place where a rollup is not what was sent. `path` as in the document, e.g. `orders/<id>/status`."""

    reference: str
    path: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.reference}: {self.path}: expected {self.expected!r}, found {self.found!r}"


def compare(truth: OrderTruth, document: Mapping[str, Any] | None) -> list[Difference]:
    """All differences between a document and the truth; a missing document is one difference."""
    return _compare(truth.reference, expected_view(truth), document, found_view)


def compare_state(state: View, document: Mapping[str, Any] | None) -> list[Difference]:
    """All differences between a document and Gelato's own state of the order: a `truth.state_view`, e.g. as JSON.

    Further fields at its top level (whose order it is, how far its story is) are not the document's business.
    """

    def found(document: Mapping[str, Any]) -> View:
        return {**reduce_to_state(found_view(document)), "complete": document["complete"]}

    expected = {**reduce_to_state(state), "complete": state["complete"]}
    return _compare(str(state["orderReferenceId"]), expected, document, found)


def _compare(
    reference: str,
    expected: View,
    document: Mapping[str, Any] | None,
    view: Callable[[Mapping[str, Any]], View],
) -> list[Difference]:
    if document is None:
        return [Difference(reference, "(document)", "a document", None)]
    try:
        found = view(document)
    except (KeyError, TypeError, AttributeError) as error:
        detail = f"not as documented: {type(error).__name__} {error}"
        return [Difference(reference, "(document)", "a readable document", detail)]
    return [Difference(reference, *difference) for difference in _differences("", expected, found)]


def found_view(document: Mapping[str, Any]) -> View:
    """The same part of a document that `expected_view` vouches for.

    Raises KeyError, TypeError if it is not one.
    """
    same = (
        "orderReferenceId",
        "status",
        "terminal",
        "connectedOrderIds",
        "counts",
        "deliveryEstimate",
        "events",
    )
    return {
        **{name: document[name] for name in same},
        "attention": {
            attention_key(line["orderId"], line["itemReferenceId"]): {
                "status": line["status"],
                "comment": line["comment"],
            }
            for line in document["attention"]
        },
        "items": {
            reference: {"status": item["status"], "orderIds": item["orderIds"]}
            for reference, item in document["items"].items()
        },
        "packages": {f"{p['orderId']} {p['trackingCode']}": p["itemReferenceIds"] for p in document["packages"]},
        "orders": {
            order_id: {
                **{name: order[name] for name in ("status", "reportedStatus", "disagrees", "deliveryEstimate")},
                "items": {
                    reference: {
                        "status": line["status"],
                        "comment": line["comment"] if line["status"] in ATTENTION else None,
                        "trackingCodes": sorted(parcel["trackingCode"] for parcel in line["fulfillments"]),
                    }
                    for reference, line in order["items"].items()
                },
            }
            for order_id, order in document["orders"].items()
        },
    }


def _differences(path: str, expected: Any, found: Any) -> list[tuple[str, Any, Any]]:
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return [] if expected == found else [(path, expected, found)]
    rows = []
    for name in sorted(expected.keys() | found.keys()):
        inner = f"{path}/{name}" if path else name
        rows += _differences(inner, expected.get(name), found.get(name))
    return rows


@dataclass(frozen=True)
class Settled:
    """The outcome of waiting: all differences left, and how long it took (seconds)."""

    differences: tuple[Difference, ...]
    seconds: float


async def settle(
    truths: Sequence[OrderTruth],
    read: ReadDocuments,
    settle_seconds: float,
    progress: Callable[[int, int], None] | None = None,
) -> Settled:
    """Polls until every document agrees with its truth or `settle_seconds` are over, then compares all again.

    The last pass is over all orders, also those that agreed before: an agreeing document must stay so.
    Raises SimulatorError if this pass cannot read.
    """
    began = time.monotonic()
    pending = list(truths)
    pause = _FIRST_PAUSE_S
    while True:
        # While Redis is away nobody agrees; it may come back in time.
        with suppress(SimulatorError):
            pending = [truth for truth, found in await _compare_all(pending, read) if found]
        if progress:
            progress(len(truths) - len(pending), len(truths))
        left = settle_seconds - (time.monotonic() - began)
        if not pending or left <= 0:
            break
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.6, _LONGEST_PAUSE_S)
    seconds = time.monotonic() - began
    final = await _compare_all(truths, read)
    return Settled(tuple(difference for _, found in final for difference in found), seconds)


async def _compare_all(truths: Sequence[OrderTruth], read: ReadDocuments) -> list[tuple[OrderTruth, list[Difference]]]:
    rows = []
    for first in range(0, len(truths), _BATCH):
        batch = truths[first : first + _BATCH]
        documents = await read([truth.reference for truth in batch])
        rows += [(truth, compare(truth, documents[truth.reference])) for truth in batch]
    return rows
