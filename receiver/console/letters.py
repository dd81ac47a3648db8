"""Dead letters: by cause, one cause, one letter."""

from typing import Any, Final, NamedTuple

from starlette.responses import Response

from receiver.console.cursors import read_position, write_position
from receiver.console.order import pretty
from receiver.console.rendering import beside
from receiver.console.visit import Problem, Visit
from shared.store import dead_letters, letter_lists, replay_runs
from shared.store.dead_letters import REASONS, Letter
from shared.store.letter_lists import Group, Page, Selection

_PER_PAGE: Final = 50
_MOST_GROUPS: Final = 200


class Shown(NamedTuple):
    """A letter's payload as a page shows it. `text` is None where none was kept."""

    text: str | None
    size: int


async def listed(visit: Visit) -> Response:
    """`GET /console/letters`: by cause, the largest first; `reason` narrows."""
    tenant = visit.query.get("tenant") or None
    everything: list[Group] = await visit.ask(letter_lists.groups(Selection(tenant=tenant)))
    reason = visit.query.get("reason", "")
    groups = [group for group in everything if reason in ("", group.cause.reason)]
    numbers = {each: sum(g.count for g in everything if g.cause.reason == each) for each in REASONS}
    dropped: dict[str, int] = await visit.ask(dead_letters.dropped())
    return await visit.page(
        "letters.html",
        groups=sorted(groups, key=lambda group: -group.count)[:_MOST_GROUPS],
        more=max(0, len(groups) - _MOST_GROUPS),
        total=sum(group.count for group in groups),
        everything=sum(group.count for group in everything),
        reason=reason,
        numbers={each: number for each, number in numbers.items() if number},
        dropped=sum(dropped.values()),
        tenant=tenant,
        running=await visit.ask(replay_runs.running()),
        discarded=_whole(visit, "discarded"),
    )


async def group(visit: Visit) -> Response:
    """`GET /console/letters/group?group=`: the letters of one cause, newest first."""
    found = await find_group(visit, visit.query.get("group", ""))
    after = read_position(visit.query.get("after"))
    page: Page = await visit.ask(letter_lists.page(Selection(group=found.id), after, _PER_PAGE, whole=False))
    older = None if page.after is None else write_position(page.after)
    return await visit.page(
        "letter_group.html", group=found, letters=page.letters, older=older, paged=after is not None
    )


async def one(visit: Visit) -> Response:
    """`GET /console/letter?id=`: all that is kept of one."""
    letter = await find_letter(visit, visit.query.get("id", ""))
    return await visit.page("letter.html", letter=letter, shown=await beside(_shown, letter))


async def find_group(visit: Visit, group_id: str) -> Group:
    """A group by its id. Raises `Problem` where there is none (any more)."""
    groups: list[Group] = await visit.ask(letter_lists.groups(Selection(group=group_id)))
    if not groups:
        raise Problem(404, "No letters of this cause", "They were replayed or discarded. The audit log says by whom.")
    return groups[0]


async def find_letter(visit: Visit, letter_id: str) -> Letter:
    """A letter by its id. Raises `Problem` where there is none (any more)."""
    letter: Any = await visit.ask(dead_letters.one(letter_id)) if letter_id.isascii() and len(letter_id) <= 64 else None
    if not isinstance(letter, Letter):
        raise Problem(404, "No such dead letter", "It was replayed or discarded. The audit log says by whom.")
    return letter


def _whole(visit: Visit, name: str) -> int | None:
    text = visit.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _shown(letter: Letter) -> Shown:
    if letter.payload is None:
        return Shown(None, 0)
    return Shown(pretty(letter.payload), len(letter.payload))
