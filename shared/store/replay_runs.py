"""Replays of dead letters as they are asked for and carried on: each is written down, and whoever is alive carries it.

A run is held by a lease. Its position, the lot that is on its way and its counts are noted together, so that a run whose
carrier died is gone on with where it was.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec

from shared.store import keys
from shared.store.calls import Call, Operation, Step
from shared.store.letter_lists import Position, Selection
from shared.store.scripts import RUN_CLAIM, RUN_NOTE, RUN_STATE

RUNNING: Final = "running"
STOPPED: Final = "stopped"
DONE: Final = "done"
#: Letters that may be named one by one.
MAX_IDS: Final = 1_000
_KEPT_DAYS: Final = 30
_MAX_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Run:
    """One replay. Times in microseconds. `ids` names letters one by one, and `selection` does not matter then.

    `selected`: how many letters there were when it was asked for. `lot`: how many of them are on their way since
    `position`, up to `lot_end`; 0 none.
    """

    id: str
    who: str
    selection: Selection
    started: int
    ids: tuple[str, ...] = ()
    state: str = RUNNING
    changed: int = 0
    selected: int = 0
    position: Position | None = None
    lot: int = 0
    lot_end: Position | None = None
    counts: dict[str, int] = field(default_factory=dict)


def plan(who: str, selection: Selection, selected: int, ids: Sequence[str] = ()) -> Operation[Run]:
    """Write down a replay of the letters that there are now. Nobody sees it or carries it before `go`."""
    now = time.time_ns() // 1000
    until = now if selection.until is None else min(now, selection.until)
    run = Run(uuid.uuid4().hex, who, selection._replace(until=until), now, tuple(ids), selected=selected, changed=now)
    fields: dict[str, Any] = {
        "who": who,
        "selection": msgspec.json.encode(run.selection),
        "ids": ",".join(ids),
        "started": now,
        "state": RUNNING,
        "changedAt": now,
        "selected": selected,
    }
    words = tuple(word for pair in fields.items() for word in pair)
    yield [Call("HSET", (keys.replay(run.id),), words)]
    yield [Call("EXPIRE", (keys.replay(run.id),), (_KEPT_DAYS * 86_400,))]
    return run


def go(run: Run) -> Operation[None]:
    """Have a worker carry a replay."""
    listed = Call("ZADD", (keys.REPLAYS,), (run.started // 1000, run.id))
    step: Step = [listed, Call("ZREMRANGEBYRANK", (keys.REPLAYS,), (0, -_MAX_KEPT - 1))]
    yield step
    yield from _wake(run.id)


def one(run_id: str) -> Operation[Run | None]:
    """A replay; None for an unknown one."""
    (found,) = yield from _several([run_id])
    return found


def latest(limit: int = 50) -> Operation[list[Run]]:
    """Replays, the last that was asked for first."""
    (ids,) = yield [Call("ZREVRANGE", (keys.REPLAYS,), (0, limit - 1))]
    found = yield from _several([each.decode() for each in ids])
    return [run for run in found if run is not None]


def running() -> Operation[list[str]]:
    """The ids of the replays that are to go on, those carried by somebody too."""
    (ids,) = yield [Call("SMEMBERS", (keys.REPLAYS_RUNNING,))]
    return sorted(each.decode() for each in ids)


def wait(seconds: float) -> Operation[None]:
    """Block until a replay was asked for, at most for some seconds."""
    yield [Call("BLPOP", (keys.REPLAYS_WAKE,), (seconds,))]


def claim(run_id: str, holder: str, lease_ms: int) -> Operation[Run | None]:
    """Take a replay over; None if it is not running, or somebody else carries it."""
    (taken,) = yield [Call(RUN_CLAIM, (keys.replay(run_id),), (holder, lease_ms))]
    if not taken:
        run = yield from one(run_id)
        if run is None or run.state != RUNNING:
            yield [Call("SREM", (keys.REPLAYS_RUNNING,), (run_id,))]
        return None
    return (yield from one(run_id))


def note(
    run_id: str,
    holder: str,
    lease_ms: int,
    counts: Mapping[str, int] = MappingProxyType({}),
    fields: Mapping[str, str | int] = MappingProxyType({}),
) -> Operation[int]:
    """Note how far a replay has come: 1 it goes on, 0 it was stopped, -1 somebody else carries it."""
    changes = [word for pair in counts.items() if pair[1] for word in pair]
    words = [word for pair in fields.items() for word in pair]
    (answer,) = yield [
        Call(RUN_NOTE, (keys.replay(run_id),), (holder, lease_ms, len(changes), *changes, *words)),
    ]
    return int(answer)


def finish(run_id: str) -> Operation[bool]:
    """Say that a replay is done."""
    return (yield from _put(run_id, RUNNING, DONE))


def stop(run_id: str) -> Operation[bool]:
    """Stop a replay after the lot that it is at; False if it was not running."""
    return (yield from _put(run_id, RUNNING, STOPPED))


def resume(run_id: str) -> Operation[bool]:
    """Have a stopped replay go on where it was; False if it was not stopped."""
    done = yield from _put(run_id, STOPPED, RUNNING)
    if done:
        yield from _wake(run_id)
    return done


def position_text(position: Position) -> str:
    """A position as noted."""
    return f"{position.received_ms} {position.id}"


def _put(run_id: str, before: str, after: str) -> Operation[bool]:
    (done,) = yield [Call(RUN_STATE, (keys.replay(run_id),), (before, after, time.time_ns() // 1000))]
    if done and after != RUNNING:
        yield [Call("SREM", (keys.REPLAYS_RUNNING,), (run_id,))]
    return bool(done)


def _wake(run_id: str) -> Operation[None]:
    yield [Call("SADD", (keys.REPLAYS_RUNNING,), (run_id,))]
    step: Step = [Call("LPUSH", (keys.REPLAYS_WAKE,), (run_id,)), Call("LTRIM", (keys.REPLAYS_WAKE,), (0, 0))]
    yield step


def _several(ids: Sequence[str]) -> Operation[list[Run | None]]:
    if not ids:
        return []
    answers = yield [Call("HGETALL", (keys.replay(each),)) for each in ids]
    return [_run(run_id, answer) for run_id, answer in zip(ids, answers, strict=True)]


def _run(run_id: str, answer: Any) -> Run | None:
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[0::2], answer[1::2], strict=True)
    fields = {name.decode(): value.decode() for name, value in pairs}
    if "selection" not in fields:
        return None
    return Run(
        id=run_id,
        who=fields["who"],
        selection=msgspec.json.decode(fields["selection"], type=Selection),
        started=int(fields["started"]),
        ids=tuple(each for each in fields["ids"].split(",") if each),
        state=fields["state"],
        changed=int(fields["changedAt"]),
        selected=int(fields["selected"]),
        position=_position(fields.get("position")),
        lot=int(fields.get("lot", 0)),
        lot_end=_position(fields.get("lotEnd")),
        counts={name.removeprefix("count:"): int(n) for name, n in fields.items() if name.startswith("count:")},
    )


def _position(text: str | None) -> Position | None:
    if not text:
        return None
    received_ms, _, letter_id = text.partition(" ")
    return Position(int(received_ms), letter_id)
