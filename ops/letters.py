"""Dead letters drawn for a person's eyes: groups, one letter, what became of a replay."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from ops.tree import visible
from shared.replay import NO_PAYLOAD
from shared.store.letter_lists import Counted

#: What became of letters, in words.
FATES = {
    "folded": "folded: in their orders' documents, and gone from here",
    "waiting": "on their way: sent, and not folded yet",
    "dead": "still dead: see their reasons",
    "ignored": "not about an order: gone",
    "test": "test notifications: gone",
    "unreplayable": "without a payload: cannot be replayed",
    "gone": "left meanwhile: folded, discarded or erased",
}


def counted(counted: Counted) -> str:
    """So many dead letters, in words."""
    words = "1 dead letter" if counted.number == 1 else f"{counted.number} dead letters"
    return words if counted.exact else f"at most {words}"


def groups_table(groups: Iterable[Mapping[str, Any]]) -> Table:
    """Groups, a line each."""
    result = Table(
        Column("Group", no_wrap=True),
        Column("Count", justify="right"),
        "Tenant",
        Column("Reason", no_wrap=True),
        Column("Detail", overflow="fold"),
        Column("First received", no_wrap=True),
        Column("Last seen", no_wrap=True),
        box=None,
    )
    for each in groups:
        detail = "(other details)" if each["detail"] is None else visible(each["detail"])
        result.add_row(
            each["group"],
            str(each["count"]),
            each["tenant"],
            each["reason"],
            Text(detail),
            each["firstAt"],
            each["lastAt"],
        )
    return result


def letters_table(described: Iterable[Mapping[str, Any]]) -> Table:
    """Letters, a line each."""
    result = Table(
        Column("Id", no_wrap=True),
        Column("Received", no_wrap=True),
        "Times",
        "Tries",
        "Tenant",
        "Order",
        Column("Reason", no_wrap=True),
        Column("Detail", overflow="fold"),
        box=None,
    )
    for each in described:
        result.add_row(
            each["id"],
            each["receivedAt"],
            str(each["count"]),
            str(each["attempts"]),
            each["tenant"],
            Text(visible(each.get("orderReferenceId", ""))),
            each["reason"],
            Text(visible(each["detail"])),
        )
    return result


def drawn(letter: Mapping[str, Any]) -> RenderableType:
    """One letter: what is wrong with it, its payload, its traceback."""
    lines: list[RenderableType] = [
        Text.assemble((letter["id"], "bold"), "  ", (letter["reason"], "bold red"), "  ", visible(letter["detail"]))
    ]
    about = [f"tenant {letter['tenant']}"]
    if "orderReferenceId" in letter:
        about.append(f"order {visible(letter['orderReferenceId'])}")
    about += [f"came as {letter['cameAs']}", f"seen {letter['count']} times", f"tried {letter['attempts']} times"]
    lines.append(Text(", ".join(about), style="dim"))
    lines.append(Text(f"received {letter['receivedAt']}, last seen {letter['lastSeenAt']}", style="dim"))
    lines += [Text(), *_payload(letter)]
    if "traceback" in letter:
        lines += [Text(), *(Text(visible(line)) for line in letter["traceback"].splitlines())]
    return Group(*lines)


def summary(counts: Mapping[str, int]) -> RenderableType:
    """What became of how many letters."""
    lines = [Text(f"{counts[name]:>8}  {words}") for name, words in FATES.items() if counts.get(name)]
    return Group(*lines or [Text("nothing was replayed")])


def _payload(letter: Mapping[str, Any]) -> list[RenderableType]:
    if "payloadBase64" in letter:
        return [Text(f"not UTF-8, as base64: {letter['payloadBase64']}")]
    if "payload" not in letter:
        return [Text(NO_PAYLOAD, style="yellow")]
    try:
        text = orjson.dumps(orjson.loads(letter["payload"]), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        text = letter["payload"]
    return [Text(visible(line)) for line in text.splitlines()]
