"""The lists by which dead letters are found: all, by group, by order. They lie in one slot and are kept in step by a script.

A group is one cause: tenant, reason and detail. Details are other people's text, so there is a most of groups; beyond it
the letters of new details are grouped by tenant and reason alone, as that reason's *other details*.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from shared.store import keys
from shared.store.calls import Batch, Call, Operation
from shared.store.scripts import PLACE, UNPLACE

#: Groups, but for the other details of each tenant and reason.
MAX_GROUPS: Final = 1_000
#: Of a detail, so many characters tell one group from another.
MAX_DETAIL: Final = 200
_AT_ONCE: Final = 200


class Cause(NamedTuple):
    """What the letters of a group have in common; `detail` None: all details that have no group of their own."""

    tenant: str
    reason: str
    detail: str | None

    @property
    def group(self) -> str:
        """The group's id: 16 hexadecimal digits."""
        text = "\0".join([self.tenant, self.reason, *([] if self.detail is None else [self.detail])])
        return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


class Place(NamedTuple):
    """What decides where a letter is listed. Times in microseconds."""

    id: str
    tenant: str
    reason: str
    detail: str
    reference: str | None
    received: int
    last_seen: int

    @property
    def cause(self) -> Cause:
        """Its own group's cause."""
        return Cause(self.tenant, self.reason, self.detail[:MAX_DETAIL])

    @property
    def others(self) -> Cause:
        """The cause of its reason's other details."""
        return Cause(self.tenant, self.reason, None)

    @property
    def lists(self) -> tuple[str, str, str]:
        """The keys of both groups, and of its order; without an order that of all letters stands in."""
        name = None if self.reference is None else keys.order_name(self.tenant, self.reference)
        order = keys.DEAD_LETTERS if name is None else keys.dead_letters_of(name)
        return keys.dead_letter_group(self.cause.group), keys.dead_letter_group(self.others.group), order


_COMMON: Final = (keys.DEAD_LETTERS, keys.DEAD_LETTER_GROUPS, keys.DEAD_LETTER_CAUSES)


def place(letters: Sequence[tuple[Place, Place | None]], *, most_groups: int = MAX_GROUPS) -> Operation[None]:
    """List letters: where each belongs now, and where it may still stand from before."""
    items = []
    for now, former in letters:
        cause, others = now.cause, now.others
        words = (
            now.id,
            now.received // 1000,
            now.last_seen // 1000,
            cause.group,
            msgspec.json.encode(cause),
            others.group,
            msgspec.json.encode(others),
        )
        items.append(((*_COMMON, *now.lists, *(former or now).lists), words))
    for at in range(0, len(items), _AT_ONCE):
        yield [Batch(PLACE, items[at : at + _AT_ONCE], common=(most_groups,))]


def unplace(letters: Sequence[Place]) -> Operation[None]:
    """Take letters off the lists."""
    items = [((*_COMMON, *letter.lists), (letter.id,)) for letter in letters]
    for at in range(0, len(items), _AT_ONCE):
        yield [Batch(UNPLACE, items[at : at + _AT_ONCE])]


def causes() -> Operation[dict[str, Cause]]:
    """All groups' causes by the groups' ids."""
    (answer,) = yield [Call("HGETALL", (keys.DEAD_LETTER_CAUSES,))]
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[0::2], answer[1::2], strict=True)
    return {group.decode(): msgspec.json.decode(cause, type=Cause) for group, cause in pairs}
