"""What is asked of Redis, apart from how it is asked.

Every operation on the store is written once, as a generator that yields `Step`s and is sent their results; the executors
in `shared.store.client` drive it, one for blocking code (worker, command line), one for asyncio (receiver). So there is
one spelling of every operation, on one server and on a cluster.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from shared.store.scripts import Script

T = TypeVar("T")
Argument = bytes | str | int | float


class Call(NamedTuple):
    """One command, or one script with its keys."""

    command: str | Script
    keys: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()


class Batch(NamedTuple):
    """One script over independent items: one call on one server, one per hash slot in a cluster.

    The script is given `common` first, then each item's arguments; it returns a list with one result per item. `tail` are
    keys that follow those of the items (not in a cluster).
    """

    script: Script
    items: Sequence[tuple[tuple[str, ...], tuple[Argument, ...]]]
    common: tuple[Argument, ...] = ()
    tail: tuple[str, ...] = ()


#: Calls that go to the server in this order, in one round trip where there is one server. In a cluster, neighbouring calls
#: of one command may go to several nodes at once.
Step = list[Call | Batch]
#: An operation: yields steps, is sent the results of each (for a `Batch` the list of its items' results), returns T.
Operation = Generator[Step, list[Any], T]


def one(command: str | Script, *keys: str, arguments: tuple[Argument, ...] = ()) -> Operation[Any]:
    """The operation of a single call."""
    (result,) = yield [Call(command, keys, arguments)]
    return result


def side_by_side(*operations: Operation[Any]) -> Operation[list[Any]]:
    """Independent operations at once: what each asks next goes to the server together. Their results, in order."""
    results: list[Any] = [None] * len(operations)
    sent: list[tuple[int, Step]] = []
    for n, operation in enumerate(operations):
        _go_on(n, operation, None, results, sent)
    while sent:
        answers = yield [call for _, step in sent for call in step]
        answered, sent = sent, []
        at = 0
        for n, step in answered:
            _go_on(n, operations[n], answers[at : at + len(step)], results, sent)
            at += len(step)
    return results


def _go_on(n: int, operation: Operation[Any], answer: Any, results: list[Any], sent: list[tuple[int, Step]]) -> None:
    try:
        sent.append((n, operation.send(answer)))
    except StopIteration as stop:
        results[n] = stop.value


def words(call: Call, *, in_full: bool = False) -> Iterable[Any]:
    """The words of a command as sent. `in_full` sends a script's text, which also makes the server know its hash."""
    if isinstance(call.command, Script):
        if in_full:
            return ("EVAL", call.command.text, len(call.keys), *call.keys, *call.arguments)
        return ("EVALSHA", call.command.sha, len(call.keys), *call.keys, *call.arguments)
    return (call.command, *call.keys, *call.arguments)


def whole(batch: Batch) -> Call:
    """A batch as one call."""
    keys: list[str] = []
    arguments: list[Any] = list(batch.common)
    for item_keys, item_arguments in batch.items:
        keys += item_keys
        arguments += item_arguments
    return Call(batch.script, (*keys, *batch.tail), tuple(arguments))
