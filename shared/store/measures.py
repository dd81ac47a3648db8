"""The state of the service in a few figures, for whoever watches it. Three round trips, however much is stored."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from shared.counting import Values
from shared.store import activity, due, keys, letter_lists, reconciling, search
from shared.store.calls import Operation, one, side_by_side
from shared.store.dead_letters import REASONS
from shared.store.due import Pending

_OTHER: Final = "other"


class Measures(NamedTuple):
    """What all of the service's processes share. `dead_letters`, `dropped`: by reason; `orders`: by state."""

    pending: Pending
    live_shifts: int
    workers: int
    dead_letters: dict[str, int]
    dropped: dict[str, int]
    changes: int
    #: Milliseconds; None before the first.
    last_event_ms: int | None
    totals: Values
    orders: dict[str, int]
    #: By what was done.
    reconciled: dict[str, int]


def measure(tenants: Sequence[str], stuck_before_ms: int) -> Operation[Measures]:
    """Ask for all of it. An open order whose last event was received before `stuck_before_ms` is stuck."""
    results = yield from side_by_side(
        due.pending(),
        due.live_shifts(),
        activity.live_workers(),
        letter_lists.counts(),
        one("HGETALL", keys.DEAD_LETTERS_DROPPED),
        one("XLEN", keys.CHANGES),
        activity.last_event_ms(),
        activity.totals(),
        side_by_side(*(search.counts(tenant, stuck_before_ms) for tenant in tenants)),
        reconciling.counts(tenants),
    )
    pending, shifts, workers, letters, dropped, changes, last_event, totals, orders, reconciled = results
    return Measures(
        pending=pending,
        live_shifts=shifts,
        workers=workers,
        dead_letters=_letters_by_reason(letters),
        dropped=_by_reason(dropped),
        changes=int(changes),
        last_event_ms=last_event,
        totals=totals,
        orders={
            "open": sum(each.open for each in orders),
            "attention": sum(each.attention for each in orders),
            "incomplete": sum(each.incomplete for each in orders),
            "disagrees": sum(each.disagrees for each in orders),
            "stuck": sum(each.idle for each in orders),
        },
        reconciled=reconciling.total(reconciled)._asdict(),
    )


def _letters_by_reason(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Every reason, those without a letter too: what grows from nothing has grown."""
    result = dict.fromkeys(REASONS, 0)
    for (_, reason), count in counts.items():
        name = reason if reason in REASONS else _OTHER  # imported ones may say anything
        result[name] = result.get(name, 0) + count
    return result


def _by_reason(answer: Any) -> dict[str, int]:
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[0::2], answer[1::2], strict=True)
    return {reason.decode(): int(count) for reason, count in pairs}
