"""What each event of an order changed: its log folded step by step, in the order of receipt. Pure.

The document is a function of the set of its events; had they come in another order, each would have changed something else,
and all together the same. A step costs as much as the document is large, so that there is a bound on all steps together.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict

from shared import document, facts, rollup
from shared.errors import GelatoRollupError
from shared.store.records import CLOSED, Record

#: Lines and connected orders looked at in all steps together: some 200 ms.
BUDGET: Final = 10_000
_Path = tuple[str, ...]
_MISSING: Final = object()

Effect = TypedDict("Effect", {"path": list[str], "from": Any, "to": Any})


def effects(tenant: str, reference: str, log: Iterable[Record], left_out: set[bytes]) -> list[list[Effect] | None]:
    """Per record of a log, in the order given: what it changed; None beyond `BUDGET`, or where it cannot be said.

    A `path` is as in the document, but for packages, named by connected order and tracking code (else URL), and attention,
    named by connected order and item. `from` is null for what was not there, `to` for what no longer is. `left_out`: the
    digests of events that the fold leaves out.
    """
    result: list[list[Effect] | None] = []
    state = rollup.State()
    before: Mapping[_Path, Any] = {}
    left = BUDGET
    for record in log:
        if left <= 0:
            result.append(None)
            continue
        try:
            if not _joined(state, record, left_out):
                result.append([])
                continue
            after = _told(dict(document.build(tenant, reference, state, 0, 0))) if state.orders else {}
        except GelatoRollupError:  # it was not folded, and so changed nothing
            result.append([])
            continue
        except Exception:  # the fold reports it, with its traceback; here the other events are of interest
            result.append(None)
            continue
        result.append(_difference(before, after))
        before = after
        left -= sum(1 + len(connected.lines) for connected in state.orders.values())
    return result


def in_words(effect: Effect) -> str:
    """An effect as a line of text: `connected-1 mug: printed → shipped`."""
    *names, what = effect["path"]
    kind = names[0] if names else ""
    if kind == "":
        place = ""
    elif kind == "attention":
        place, what = " ".join([*names[1:], what]).strip(), "attention"
    elif kind == "packages":
        return f"{names[1]}: {'new ' if effect['from'] is None else ''}parcel {what}"
    else:
        place = " ".join(name for name in names[1:] if name != "items")
    change = f"{_in_words(effect['from'])} → {_in_words(effect['to'])}"
    said = change if what == "status" and place else f"{what} {change}"
    return f"{place}: {said}" if place else said


def _joined(state: rollup.State, record: Record, left_out: set[bytes]) -> bool:
    if record.letter == CLOSED:
        state.closed = max(state.closed or 0, record.received)
        return True
    if not record.is_event or record.digest in left_out:
        return False
    rollup.join(state, facts.read_facts(record.text, record.came_as, record.received))
    return True


def _told(built: Mapping[str, Any]) -> dict[_Path, Any]:
    """What of a document is told of: each value by its path."""
    told: dict[_Path, Any] = {(name,): built[name] for name in ("status", "terminal", "complete", "deliveryEstimate")}
    for order_id, connected in built["orders"].items():
        for name in ("status", "reportedStatus", "disagrees", "silent", "storeId", "deliveryEstimate"):
            told["orders", order_id, name] = connected[name]
        for item, line in connected["items"].items():
            for name in ("status", "comment", "facility"):
                told["orders", order_id, "items", item, name] = line[name]
    for package in built["packages"]:
        key = package["trackingCode"] or package["trackingUrl"]
        told["packages", package["orderId"], key] = {name: package[name] for name in package if name != "orderId"}
    for each in built["attention"]:
        told["attention", each["orderId"], each["itemReferenceId"] or ""] = each["status"]
    return told


def _difference(before: Mapping[_Path, Any], after: Mapping[_Path, Any]) -> list[Effect]:
    changed: list[Effect] = [
        {"path": list(path), "from": before.get(path), "to": value}
        for path, value in after.items()
        if before.get(path, _MISSING) != value and not (path not in before and _is_nothing(value))
    ]
    gone: list[Effect] = [
        {"path": list(path), "from": value, "to": None} for path, value in before.items() if path not in after
    ]
    return changed + gone


def _is_nothing(value: Any) -> bool:
    """What a new line or connected order has not: nothing to tell of."""
    return value in (None, False) or (isinstance(value, dict) and not any(value.values()))


def _in_words(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):  # a facility, an estimate
        return " ".join(each for each in value.values() if isinstance(each, str)) or "—"
    return str(value)
