"""Dead letters as others may read them: in JSON over HTTP, on the command line, in an export."""

import base64
from collections.abc import Sequence
from typing import Any

from shared.clock import format_time
from shared.history import precise_time
from shared.store import audit, replay_runs
from shared.store.audit import Deed
from shared.store.calls import Operation
from shared.store.dead_letters import Letter
from shared.store.letter_lists import Counted, Group, Selection
from shared.store.replay_runs import Run


def described(letter: Letter) -> dict[str, Any]:
    """A letter for JSON. Times are ISO 8601 UTC with microseconds: a receipt decides the fold.

    `payload` is the exact text, `payloadBase64` stands in its place where that is not UTF-8; neither where none was kept.
    """
    result: dict[str, Any] = {
        "id": letter.id,
        "tenant": letter.tenant,
        "reason": letter.reason,
        "detail": letter.detail,
    }
    if letter.payload is not None:
        try:
            result["payload"] = letter.payload.decode()
        except UnicodeDecodeError:
            result["payloadBase64"] = base64.b64encode(letter.payload).decode()
    result |= {
        "receivedAt": precise_time(letter.received),
        "lastSeenAt": precise_time(letter.last_seen),
        "count": letter.count,
        "attempts": letter.attempts,
        "cameAs": letter.came_as,
        "group": letter.place.cause.group,
    }
    if letter.reference is not None:
        result["orderReferenceId"] = letter.reference
    if letter.traceback is not None:
        result["traceback"] = letter.traceback
    return result


def described_group(group: Group) -> dict[str, Any]:
    """A group for JSON. `detail` null: all details of that reason which have no group of their own. Times in seconds."""
    return {
        "group": group.id,
        "tenant": group.cause.tenant,
        "reason": group.cause.reason,
        "detail": group.cause.detail,
        "count": group.count,
        "firstAt": format_time(group.first_ms * 1000),
        "lastAt": format_time(group.last_ms * 1000),
    }


def described_number(name: str, counted: Counted) -> dict[str, Any]:
    """How many letters, under a name; where that is the most it can be, another field says so."""
    return {name: counted.number} if counted.exact else {name: counted.number, f"{name}IsExact": False}


def described_selection(selection: Selection) -> dict[str, Any]:
    """What a selection narrows, for JSON, under the names of the query."""
    result = {name: value for name, value in selection._asdict().items() if value is not None}
    return {name: precise_time(value) if isinstance(value, int) else value for name, value in result.items()}


def described_run(run: Run) -> dict[str, Any]:
    """A replay for JSON. `counts` tells what became of how many of the `selected` letters: see `shared.replay.Fate`."""
    result: dict[str, Any] = {
        "replay": run.id,
        "state": run.state,
        "who": run.who,
        "selected": run.selected,
        "done": sum(run.counts.values()),
        "counts": {name: number for name, number in sorted(run.counts.items()) if number},
        "startedAt": precise_time(run.started),
        "changedAt": precise_time(run.changed),
    }
    return result | ({"ids": list(run.ids)} if run.ids else {"selection": described_selection(run.selection)})


def ask_for_replay(who: str, selection: Selection, selected: int, ids: Sequence[str] = ()) -> Operation[Run]:
    """Ask for a replay of the letters that there are now: a deed that is written down before a worker can begin with it."""
    run = yield from replay_runs.plan(who, selection, selected, ids)
    told = described_run(run)
    what: dict[str, Any] = {name: told[name] for name in ("replay", "selection", "ids", "selected") if name in told}
    yield from audit.note(who, "replay", what)
    yield from replay_runs.go(run)
    return run


def described_deed(deed: Deed) -> dict[str, Any]:
    """An entry of the audit log for JSON."""
    return {
        "at": precise_time(deed.at),
        "who": deed.who,
        "action": deed.action,
        "what": deed.what,
        "outcome": deed.outcome,
    }
