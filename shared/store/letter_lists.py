"""Reading the dead letters: groups, counts, and pages of a selection, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.store import dead_letters, keys, letter_index
from shared.store.calls import Call, Operation
from shared.store.dead_letters import Letter
from shared.store.letter_index import Cause, Place
from shared.store.scripts import PAGE

#: One page reads at most so many bytes of payloads and tracebacks, and at least one letter.
MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
#: Letters looked at for one page of a selection that no list answers alone (an order's letters of one reason).
_LOOK_AT_MOST: Final = 5_000
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one cause: how many, when the first of them was received and the last seen (milliseconds)."""

    id: str
    cause: Cause
    count: int
    first_ms: int
    last_ms: int


class Position(NamedTuple):
    """A letter's place among others: time of receipt (milliseconds), then id."""

    received_ms: int
    id: str


class Selection(NamedTuple):
    """Which letters. Each field that is not None narrows it; `detail` is a part of the detail, in any case of letters.

    `order` is a reference and needs `tenant`. Times of receipt in microseconds, `until` included.
    """

    tenant: str | None = None
    reason: str | None = None
    detail: str | None = None
    order: str | None = None
    group: str | None = None
    since: int | None = None
    until: int | None = None

    def takes(self, cause: Cause) -> bool:
        """Whether letters of a cause may be meant: certain but for the other details."""
        return (
            self.tenant in (None, cause.tenant)
            and self.reason in (None, cause.reason)
            and self.group in (None, cause.group)
            and (self.detail is None or cause.detail is None or self.detail.lower() in cause.detail.lower())
        )

    def fits(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        of_group = self.group is None or self.group in (letter.place.cause.group, letter.place.others.group)
        return (
            of_group
            and self.tenant in (None, letter.tenant)
            and self.reason in (None, letter.reason)
            and self.order in (None, letter.reference)
            and (self.detail is None or self.detail.lower() in letter.detail.lower())
            and (self.since is None or letter.received >= self.since)
            and (self.until is None or letter.received <= self.until)
        )


class Page(NamedTuple):
    """Some letters, and where to go on from; None: these were the last."""

    letters: list[Letter]
    after: Position | None


class Counted(NamedTuple):
    """How many letters a selection takes; at most so many where that is not exact."""

    number: int
    exact: bool


def count() -> Operation[int]:
    """How many dead letters there are."""
    (number,) = yield [Call("ZCARD", (keys.DEAD_LETTERS,))]
    return int(number)


def selected(selection: Selection) -> Operation[Counted]:
    """How many letters a selection takes.

    Where the lists alone do not tell, the letters are looked at, unless they are too many: then at most so many.
    """
    sets, _ = yield from _sets(selection)
    if not sets:
        return Counted(0, True)
    window = _window(selection)
    numbers = yield [Call("ZCOUNT", (each,), window) for each in sets]
    number = sum(int(each) for each in numbers)
    if number == 0 or (yield from _told_by_lists(selection, sets)):
        return Counted(number, True)
    if number > _LOOK_AT_MOST:
        return Counted(number, False)
    found = yield from page(selection, limit=_LOOK_AT_MOST, whole=False)
    return Counted(len(found.letters), found.after is None)


def counts() -> Operation[dict[tuple[str, str], int]]:
    """How many dead letters there are by tenant and reason."""
    causes = yield from letter_index.causes()
    if not causes:
        return {}
    numbers = yield [Call("ZCARD", (keys.dead_letter_group(group),)) for group in causes]
    result: dict[tuple[str, str], int] = {}
    for cause, number in zip(causes.values(), numbers, strict=True):
        if number:
            result[cause.tenant, cause.reason] = result.get((cause.tenant, cause.reason), 0) + int(number)
    return result


def groups(selection: Selection = Selection(), limit: int = 1_000) -> Operation[list[Group]]:  # noqa: B008  (immutable)
    """The groups that a selection may take letters of, those seen last first. The order is not looked at.

    With times, the letters of those times are counted, in whole milliseconds, and the first of them is meant.
    """
    causes = yield from letter_index.causes()
    (newest,) = yield [Call("ZREVRANGE", (keys.DEAD_LETTER_GROUPS,), (0, -1, "WITHSCORES"))]
    listed = [
        (group, causes[group], int(float(score)))
        for name, score in zip(newest[0::2], newest[1::2], strict=True)
        for group in (name.decode(),)
        if group in causes and selection.takes(causes[group])
    ][:limit]
    if not listed:
        return []
    window = _window(selection)
    answers = yield [
        call
        for group, _, _ in listed
        for call in (
            Call("ZCOUNT", (keys.dead_letter_group(group),), window),
            Call("ZRANGEBYSCORE", (keys.dead_letter_group(group),), (*window, "WITHSCORES", "LIMIT", 0, 1)),
        )
    ]
    return [
        Group(group, cause, int(number), int(float(first[1])), last)
        for (group, cause, last), number, first in zip(listed, answers[0::2], answers[1::2], strict=True)
        if number
    ]


def page(
    selection: Selection = Selection(),  # noqa: B008  (immutable)
    after: Position | None = None,
    limit: int = 50,
    *,
    oldest_first: bool = False,
    whole: bool = True,
) -> Operation[Page]:
    """Letters by time of receipt, newest first or oldest first, from the one behind `after` on.

    `whole`: with payloads and tracebacks; the page ends early then where they are long. It may also end early where few of
    the letters that were looked at fit: `after` says whether there are more.
    """
    sets, cause = yield from _sets(selection)
    if not sets:
        return Page([], None)
    found: list[Letter] = []
    size = looked = 0
    while looked < _LOOK_AT_MOST:
        at_once = min(limit - len(found), _AT_ONCE)
        listed = yield from _listed(sets, selection, after, at_once, oldest_first=oldest_first)
        ids = [each.id for each in listed]
        lengths = (yield from dead_letters.sizes(ids)) if whole else [0] * len(ids)
        taken = 0
        while taken < len(ids) and (size == 0 or size + lengths[taken] <= MAX_PAGE_BYTES):
            size += lengths[taken]
            taken += 1
        letters = yield from dead_letters.several(ids[:taken], whole=whole)
        gone = [each for each, letter in zip(ids, letters, strict=False) if letter is None]
        if gone:
            yield from _unlist(gone, selection, cause)
        found += [letter for letter in letters if letter is not None and selection.fits(letter)]
        looked += taken
        if taken:
            after = listed[taken - 1]
        if taken == len(ids) < at_once:
            return Page(found, None)
        if len(found) == limit or taken < len(ids):
            break
    return Page(found, after)


def in_step() -> Operation[bool]:
    """Whether the groups hold as many letters as there are: not so after an upgrade, or a crash at the wrong moment. Nor is
    it so where there are no letters, and yet bytes of them.
    """
    number = yield from count()
    by_cause = yield from counts()
    (stored,) = yield [Call("GET", (keys.DEAD_LETTERS_BYTES,))]
    return number == sum(by_cause.values()) and (number > 0 or int(stored or 0) == 0)


def may_mend(for_seconds: int = 300) -> Operation[bool]:
    """Whether nobody else mends the lists just now; nobody else may then, for some seconds."""
    (first,) = yield [Call("SET", (keys.DEAD_LETTERS_MENDING,), ("1", "NX", "EX", for_seconds))]
    return first is not None


def mend() -> Operation[int]:
    """List every letter where it belongs, and take those off the lists that are gone; how many were looked at.

    And count their bytes anew: a letter that comes meanwhile may count twice, until the lists are mended again.
    """
    looked = stored = 0
    (counted,) = yield [Call("GET", (keys.DEAD_LETTERS_BYTES,))]
    causes = yield from letter_index.causes()
    for selection in (Selection(), *(Selection(group=group) for group in causes)):
        after: Position | None = None
        while True:
            found = yield from page(selection, after, _AT_ONCE, oldest_first=True, whole=False)
            if selection.group is None:
                yield from letter_index.place([(letter.place, None) for letter in found.letters])
                looked += len(found.letters)
                if found.letters:
                    lengths = yield [
                        Call("HSTRLEN", (keys.dead_letter(letter.id),), ("payload",)) for letter in found.letters
                    ]
                    stored += sum(lengths)
            after = found.after
            if after is None:
                break
        if selection.group is not None:  # takes an empty group off the list of groups
            yield from letter_index.unplace([_anywhere("", causes[selection.group], None)])
    yield [Call("INCRBY", (keys.DEAD_LETTERS_BYTES,), (stored - int(counted or 0),))]
    return looked


def _sets(selection: Selection) -> Operation[tuple[list[str], Cause | None]]:
    """The keys of the sets that hold what is selected; and the cause, where there is but one."""
    if selection.order is not None:
        name = keys.order_name(selection.tenant or "", selection.order)
        return [keys.dead_letters_of(name)], None
    if selection == Selection(since=selection.since, until=selection.until):
        return [keys.DEAD_LETTERS], None
    causes = yield from letter_index.causes()
    meant = {group: cause for group, cause in causes.items() if selection.takes(cause)}
    only = next(iter(meant.values())) if len(meant) == 1 else None
    return [keys.dead_letter_group(group) for group in meant], only


def _window(selection: Selection) -> tuple[int | str, int | str]:
    """The times of a selection as the lists have them, in milliseconds."""
    least = "-inf" if selection.since is None else selection.since // 1000
    return least, "+inf" if selection.until is None else selection.until // 1000


def _told_by_lists(selection: Selection, sets: Sequence[str]) -> Operation[bool]:
    """Whether every letter in a selection's sets, and between its times, is meant by it."""
    if selection.order is not None and (selection.reason, selection.detail, selection.group) != (None, None, None):
        return False
    if selection.detail is not None and selection.order is None:
        causes = yield from letter_index.causes()
        if any(cause.detail is None and selection.takes(cause) for cause in causes.values()):
            return False
    # A list knows milliseconds: in the first and the last of them there may be letters that are not meant.
    edges = [us // 1000 for us, whole in ((selection.since, 0), (selection.until, 999)) if us and us % 1000 != whole]
    if not edges:
        return True
    numbers = yield [Call("ZCOUNT", (each,), (edge, edge)) for each in sets for edge in edges]
    return not any(int(number) for number in numbers)


def _listed(
    sets: Sequence[str], selection: Selection, after: Position | None, limit: int, *, oldest_first: bool
) -> Operation[list[Position]]:
    least, greatest = _window(selection)
    begin = ("", "") if after is None else (after.received_ms, after.id)
    direction = "asc" if oldest_first else "desc"
    (answer,) = yield [Call(PAGE, tuple(sets), (direction, least, greatest, *begin, limit))]
    return [Position(int(float(score)), name.decode()) for name, score in zip(answer[0::2], answer[1::2], strict=True)]


def _unlist(ids: Sequence[str], selection: Selection, cause: Cause | None) -> Operation[None]:
    """Take letters that are gone off the lists they were found in, unless they came back meanwhile."""
    if cause is not None or selection.order is not None:
        of_tenant = cause or Cause(selection.tenant or "", "", None)
        yield from letter_index.unplace([_anywhere(each, of_tenant, selection.order) for each in ids])
    else:
        yield [Call("ZREM", (keys.DEAD_LETTERS,), tuple(ids))]
    back = yield from dead_letters.several(ids, whole=False)
    yield from letter_index.place([(letter.place, None) for letter in back if letter is not None])


def _anywhere(letter_id: str, cause: Cause, reference: str | None) -> Place:
    return Place(letter_id, cause.tenant, cause.reason, cause.detail or "", reference, 0, 0)
