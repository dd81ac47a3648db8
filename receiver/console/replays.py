"""What operators do with dead letters: replay and discard, each after a page that says what will happen; and what was done.

A replay is carried by the workers (`shared.store.replay_runs`), so it goes on when the browser is closed, or this receiver.
"""

import time
from typing import Any, Final, NamedTuple

from starlette.responses import RedirectResponse, Response

from receiver.console.letters import find_group, find_letter
from receiver.console.texts import link
from receiver.console.visit import HOME, Problem, Visit, logger
from shared import replay
from shared.errors import InvalidJson, UnusableEvent
from shared.letters import ask_for_replay
from shared.replay import Fate, NoPayload
from shared.store import audit, dead_letters, due, letter_lists, replay_runs
from shared.store.dead_letters import FOLD_ERROR, Letter
from shared.store.letter_lists import Counted, Group, Page, Selection
from shared.store.replay_runs import Run

#: So many letters are tried on before a group is replayed: would they be usable now?
_TRIED: Final = 20
_LOT: Final = 500
#: Discarding stops after so long, says how many are left, and asks whether to go on.
_DISCARD_SECONDS: Final = 5.0
_MAX_REASON: Final = 300
_PER_PAGE: Final = 50
#: What became of letters, in words; the first are good.
FATES: Final = {
    Fate.FOLDED: "folded into their orders",
    Fate.IGNORED: "not about an order",
    Fate.TEST: "test notifications",
    Fate.WAITING: "on their way",
    Fate.DEAD: "dead again",
    Fate.UNREPLAYABLE: "without a payload",
    Fate.GONE: "gone meanwhile",
}


class Chosen(NamedTuple):
    """What is to be replayed or discarded: one letter, a group, or all that a filter finds; `query` names it in URLs."""

    letter: Letter | None
    group: Group | None
    selection: Selection
    counted: Counted
    query: dict[str, str]

    @property
    def number(self) -> int:
        """How many letters these are."""
        return self.counted.number


class Trial(NamedTuple):
    """How letters would fare now: so many were tried, so many are usable; what is wrong with the first of the others."""

    tried: int
    usable: int
    problem: str
    may_fail: bool


async def confirm_replay(visit: Visit) -> Response:
    """`GET /console/letters/replay?group=` (or `id=`, or `all=` with filters): what will happen, and how some would fare."""
    chosen = await _chosen(visit)
    if chosen.letter is not None:
        letters = [chosen.letter]
    else:
        page: Page = await visit.ask(letter_lists.page(chosen.selection, None, _TRIED))
        letters = page.letters
    shifts = await visit.ask(due.live_shifts())
    return await visit.page("confirm_replay.html", chosen=chosen, trial=_try(letters), shifts=shifts)


async def start_replay(visit: Visit) -> Response:
    """`POST /console/letters/replay`: begin, and show how it goes."""
    chosen = await _chosen(visit)
    ids = [] if chosen.letter is None else [chosen.letter.id]
    run: Run = await visit.ask(ask_for_replay(visit.who, chosen.selection, chosen.number, ids))
    logger.info("replay asked for", who=visit.who, replay=run.id, selected=run.selected)
    return RedirectResponse(link(f"{HOME}/replay", id=run.id), 303)


async def confirm_discard(visit: Visit) -> Response:
    """`GET /console/letters/discard?group=` (or `id=`): what will be lost, and why it may be."""
    return await _ask_why(visit, await _chosen(visit))


async def discard(visit: Visit) -> Response:
    """`POST /console/letters/discard`: for good, with a reason. What there was no time for is asked about again."""
    chosen = await _chosen(visit)
    why = " ".join(visit.form.get("reason", "").split())[:_MAX_REASON]
    if not why:
        return await _ask_why(visit, chosen, 422, problem="Say why: it stands in the audit log.")
    what: dict[str, Any] = {**chosen.query, "reason": why, "selected": chosen.number}
    if chosen.letter is not None:
        what |= {"tenant": chosen.letter.tenant, "letterReason": chosen.letter.reason}
    elif chosen.group is not None:
        what |= {"tenant": chosen.group.cause.tenant, "letterReason": chosen.group.cause.reason}
    await visit.ask(audit.note(visit.who, "discard", what))
    gone, all_of_them = await _discard(visit, chosen)
    await visit.ask(audit.note(visit.who, "discarded", what, {"discarded": gone}))
    logger.info("dead letters discarded", who=visit.who, discarded=gone, reason=why, **chosen.query)
    if not all_of_them:
        return await _ask_why(visit, await _chosen(visit), gone=gone, why=why)
    return RedirectResponse(link(f"{HOME}/letters", discarded=gone), 303)


async def show(visit: Visit) -> Response:
    """`GET /console/replay?id=`: how far a replay has come."""
    run = await _run(visit)
    shifts = await visit.ask(due.live_shifts())
    return await visit.page("replay.html", run=run, done=sum(run.counts.values()), fates=FATES, shifts=shifts)


async def change(visit: Visit) -> Response:
    """`POST /console/replay?id=`, with `do`: `stop`, or `resume`."""
    run = await _run(visit)
    wanted = visit.form.get("do", "")
    if wanted not in ("stop", "resume"):
        raise Problem(400, "Nothing to do", "A replay can be stopped, and resumed.")
    if await visit.ask(replay_runs.stop(run.id) if wanted == "stop" else replay_runs.resume(run.id)):
        await visit.ask(audit.note(visit.who, f"{wanted} replay", {"replay": run.id}))
    return RedirectResponse(link(f"{HOME}/replay", id=run.id), 303)


async def history(visit: Visit) -> Response:
    """`GET /console/history`: replays, and who did what."""
    before = visit.query.get("before") or None
    if before is not None and not before.replace("-", "").isdigit():
        raise Problem(400, "No such page", "Go back to the list, and page on from there.")
    runs = await visit.ask(replay_runs.latest(10)) if before is None else []
    deeds = await visit.ask(audit.latest(_PER_PAGE, before))
    older = deeds[-1].id if len(deeds) == _PER_PAGE else None
    return await visit.page("history.html", runs=runs, deeds=deeds, older=older, paged=before is not None, fates=FATES)


async def _chosen(visit: Visit) -> Chosen:
    if letter_id := visit.query.get("id"):
        letter = await find_letter(visit, letter_id)
        return Chosen(letter, None, Selection(), Counted(1, True), {"id": letter_id})
    if visit.query.get("all") != "1":
        group = await find_group(visit, visit.query.get("group", ""))
        return Chosen(None, group, Selection(group=group.id), Counted(group.count, True), {"group": group.id})
    filters = {name: value for name in ("reason", "tenant") if (value := visit.query.get(name))}
    selection = Selection(tenant=filters.get("tenant"), reason=filters.get("reason"))
    counted: Counted = await visit.ask(letter_lists.selected(selection))
    if not counted.number:
        raise Problem(404, "No such letters", "They were replayed or discarded. The audit log says by whom.")
    return Chosen(None, None, selection, counted, {"all": "1", **filters})


async def _ask_why(
    visit: Visit, chosen: Chosen, status: int = 200, *, problem: str | None = None, gone: int = 0, why: str = ""
) -> Response:
    return await visit.page("confirm_discard.html", status, chosen=chosen, problem=problem, gone=gone, why=why)


async def _discard(visit: Visit, chosen: Chosen) -> tuple[int, bool]:
    """How many letters were discarded, and whether these are all: there may be no time for all at once."""
    if chosen.letter is not None:
        removed = await visit.ask(dead_letters.remove([chosen.letter.id]))
        return sum(each is not None for each in removed), True
    # Those that come while it goes on were never looked at by anybody: they stay.
    selection = chosen.selection._replace(until=time.time_ns() // 1000)
    deadline = time.monotonic() + _DISCARD_SECONDS
    gone = 0
    while True:
        page: Page = await visit.ask(letter_lists.page(selection, None, _LOT, oldest_first=True, whole=False))
        removed = await visit.ask(dead_letters.remove([letter.id for letter in page.letters]))
        gone += sum(each is not None for each in removed)
        if page.after is None or not page.letters:
            return gone, True
        if time.monotonic() > deadline:
            return gone, False


async def _run(visit: Visit) -> Run:
    run: Run | None = await visit.ask(replay_runs.one(visit.query.get("id", "")[:64]))
    if run is None:
        raise Problem(404, "No such replay", "Replays are remembered for 30 days.")
    return run


def _try(letters: list[Letter]) -> Trial:
    usable, problem = 0, ""
    for letter in letters:
        try:
            replay.read(letter.payload, letter.came_as)
        except (InvalidJson, UnusableEvent, NoPayload) as error:
            problem = problem or str(error)
        else:
            usable += 1
    return Trial(len(letters), usable, problem, any(letter.reason == FOLD_ERROR for letter in letters))
